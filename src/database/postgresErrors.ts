/**
 * PostgreSQL's errors as foldlog's: what may be repeated, what is full, what is damaged. Codes are SQLSTATEs
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html); errors without one come from the connection.
 * Messages name the address and the statement, never a user, a password or a value.
 */
import { FoldlogError, messageOf } from '../base/errors.js';
import { excerptOf } from './sqlText.js';

/** Of the server, and then the connection is gone: refused, shut down, restarting, idle for too long. */
const CONNECTION_LOST = /^(08...|25P03|57P0[1-5])$/;
/** Not now: too many connections, no memory, a lock that was not had, a cancelled statement, a server that is a replica. */
const NOT_NOW = /^(25006|53200|53300|55P03|57014)$/;
/** The transaction fell victim to another one: the same work, begun anew, may succeed at once. */
const LOST_TO_ANOTHER = /^(40001|40P01)$/;
/** Of the system, not of the server: ECONNRESET, EPIPE, ENOTFOUND. */
const SYSTEM_CODE = /^E[A-Z_]+$/;

const DISK_FULL = '53100';
const CORRUPTED = /^XX00[12]$/;

/** What is known of a failed statement besides the error. */
export interface FailedStatement {
  /** `host:port/database`. */
  address: string;
  sql: string;
  /** It was sent, and stands by itself: when the connection goes, nobody knows whether it was executed. */
  mayHaveBeenExecuted: boolean;
}

export function translatePostgresError(
  thrown: unknown,
  { address, sql, mayHaveBeenExecuted }: FailedStatement,
): FoldlogError {
  if (thrown instanceof FoldlogError) return thrown;
  const sqlState = sqlStateOf(thrown);
  const isLost = isLostState(sqlState);
  const details = { cause: thrown, database: address, sql: excerptOf(sql), sqlState };
  const what = `${messageOf(thrown)}: ${excerptOf(sql)} (database ${address})`;
  if (sqlState === DISK_FULL) return new FoldlogError('DISK_FULL', what, details);
  if (sqlState !== undefined && CORRUPTED.test(sqlState)) return new FoldlogError('CORRUPTION', what, details);
  return new FoldlogError('DATABASE_FAILED', what, {
    ...details,
    retriable: isRetriable(sqlState),
    ...(isLost && { mayHaveBeenExecuted }),
  });
}

/** No connection could be made, or none came free. */
export function unreachable(address: string, thrown: unknown): FoldlogError {
  const sqlState = sqlStateOf(thrown);
  // pg's words for a password that is missing or wrong.
  const retriable = isRetriable(sqlState) && !messageOf(thrown).startsWith('SASL');
  const what = messageOf(thrown) || sqlState || 'no reason given';
  const hint = retriable ? 'is it running?' : 'check the url';
  return new FoldlogError('DATABASE_FAILED', `cannot connect to PostgreSQL at ${address}: ${what}; ${hint}`, {
    cause: thrown,
    database: address,
    sqlState,
    retriable,
    mayHaveBeenExecuted: false,
  });
}

/** True when the error says that the connection is gone. */
export function isConnectionGone(error: FoldlogError): boolean {
  return error.details['mayHaveBeenExecuted'] !== undefined;
}

/** True when the work was undone in favour of another transaction (deadlock, serialization): begin it anew. */
export function isLostToAnother(thrown: unknown): boolean {
  const sqlState = thrown instanceof FoldlogError ? thrown.details['sqlState'] : undefined;
  return typeof sqlState === 'string' && LOST_TO_ANOTHER.test(sqlState);
}

function isLostState(sqlState: string | undefined): boolean {
  return sqlState === undefined || SYSTEM_CODE.test(sqlState) || CONNECTION_LOST.test(sqlState);
}

function isRetriable(sqlState: string | undefined): boolean {
  if (sqlState === undefined || isLostState(sqlState)) return true;
  return NOT_NOW.test(sqlState) || LOST_TO_ANOTHER.test(sqlState);
}

/** SQLSTATE of the server, or the system's code of a failed connection. */
function sqlStateOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
