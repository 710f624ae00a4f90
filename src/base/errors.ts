/**
 * The one error class of foldlog and the closed list of its codes.
 *
 * Every error that reaches a caller is a {@link FoldlogError}. It says what failed, on what and what to do, in lower
 * case and without a trailing full stop. Expected outcomes (no new message, stream does not exist, duplicate claim)
 * are return values, never errors. Two copies of the package recognise each other's errors by a symbol brand.
 */

/** One row per error code: what it means to the caller. `docs/errors.md` lists the same rows; a test compares them. */
export const ERROR_CODES = {
  OPTIONS_INVALID: 'an option or an argument has a wrong value',
  REQUEST_TIMEOUT: 'no answer came in time; the request may have been executed',
  CONNECT_FAILED: 'no connection to the address could be made; nothing was executed',
  CONNECTION_CLOSED: 'the connection went away; the request may have been executed',
  TOO_BUSY: 'a bound was reached here; nothing was sent',
  FRAME_INVALID: 'bytes that are not a frame of the protocol',
  BROKER_REFUSED: 'a server answered with an error code',
  TOPIC_NOT_FOUND: 'no name server knows a route for the topic',
  EXPECTED_VERSION: 'somebody appended to the stream first',
  CONDITION_FAILED: 'something new is stored under a key of the condition',
  POSITION_LOST: 'the log has lost events before the position; read again from the start',
  OUTCOME_UNKNOWN: 'the append may or may not be stored; repeat it with the same append id',
  CORRUPTION: 'bytes on disk that cannot be true',
  STORE_LOCKED: 'another process uses the directory',
  STORE_FAILED: 'the store is finished after a failed write or sync; open it anew',
  DISK_FULL: 'no room to write',
  PORT_TAKEN: 'another process listens on the port',
  LIFECYCLE: 'used before start or after stop',
  EVENT_INVALID: 'an event does not validate or decode',
  GUARD_UNAVAILABLE: 'the idempotency guard cannot be reached',
  DATABASE_FAILED: 'the database refused or failed a statement',
  HANDLER_FAILED: 'a handler of the application threw',
  INVARIANT: 'a defect of foldlog itself',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

const BRAND = Symbol.for('foldlog.error');

export interface ErrorDetails {
  /** The error underneath, if there is one. */
  cause?: unknown;
  /** May the same call succeed when repeated? */
  retriable?: boolean;
  /** Named facts that a person needs: topic, offset, file, address. */
  [field: string]: unknown;
}

/** The base of all errors that foldlog throws. Test with {@link isFoldlogError}, tell apart by {@link FoldlogError.code}. */
export class FoldlogError extends Error {
  readonly code: ErrorCode;
  readonly retriable: boolean;
  /** Named facts: topic, offset, file, address. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { cause, retriable, ...facts } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.retriable = retriable ?? false;
    this.details = facts;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** A wrong option or call: fix the code or the configuration. Thrown synchronously, names the option and the value. */
export class OptionsError extends FoldlogError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('OPTIONS_INVALID', message, details);
  }
}

/** The network or a bound: timeout, refused, closed, too busy. `mayHaveBeenExecuted` tells whether a repeat is a second try. */
export class RemotingError extends FoldlogError {
  readonly mayHaveBeenExecuted: boolean;

  constructor(
    code: 'REQUEST_TIMEOUT' | 'CONNECT_FAILED' | 'CONNECTION_CLOSED' | 'TOO_BUSY' | 'FRAME_INVALID',
    message: string,
    details: ErrorDetails = {},
  ) {
    super(code, message, { retriable: true, ...details });
    this.mayHaveBeenExecuted = code === 'REQUEST_TIMEOUT' || code === 'CONNECTION_CLOSED';
  }
}

/** A server answered with a response code other than SUCCESS. */
export class BrokerError extends FoldlogError {
  readonly responseCode: number;
  readonly remark: string;

  constructor(responseCode: number, remark: string, message: string, details: ErrorDetails = {}) {
    super('BROKER_REFUSED', message, details);
    this.responseCode = responseCode;
    this.remark = remark;
  }
}

/** The race for a stream was lost: load again and decide again. */
export class ExpectedVersionError extends FoldlogError {
  readonly stream: string;
  readonly expected: number | string;
  readonly actual: number;

  constructor(stream: string, expected: number | string, actual: number) {
    super(
      'EXPECTED_VERSION',
      `stream ${stream} is at version ${actual}, expected ${expected}: load it again and decide again`,
      {
        retriable: true,
        stream,
        expected,
        actual,
      },
    );
    this.stream = stream;
    this.expected = expected;
    this.actual = actual;
  }
}

/** Bytes on disk that cannot be true. Never retried. */
export class CorruptionError extends FoldlogError {
  constructor(
    message: string,
    details: { file: string; offset: number; expected?: unknown; found?: unknown; cause?: unknown },
  ) {
    super('CORRUPTION', message, details);
  }
}

/** Used before start or after stop. */
export class LifecycleError extends FoldlogError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('LIFECYCLE', message, details);
  }
}

/** A defect of foldlog. Stop the component; never caught to carry on. */
export class InvariantError extends FoldlogError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('INVARIANT', message, details);
  }
}

/** True for errors of this or another copy of foldlog. */
export function isFoldlogError(value: unknown): value is FoldlogError {
  return value instanceof Error && (value as { [BRAND]?: unknown })[BRAND] === true;
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
