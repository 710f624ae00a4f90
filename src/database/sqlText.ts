/**
 * What must be known of a statement's text before libsql sees it, because libsql does not check it: how many
 * parameters it takes (a missing one silently keeps the value of the execution before), and whether a second
 * statement follows (which is silently not run). A small scanner that knows SQLite's literals and comments;
 * https://sqlite.org/lang_expr.html#varparam, https://sqlite.org/c3ref/prepare.html.
 */
import { OptionsError } from '../base/errors.js';

/** One literal, comment, parameter or separator; anything else is stepped over character by character. */
const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\?\d*|[:@$][A-Za-z_][\w$]*|;|[\w$]+/g;

const TRIGGER = /^\s*create\s+(?:temp\s+|temporary\s+)?trigger\b/i;
const RETURNING = /\breturning\b/i;

export interface SqlText {
  /** How many values must be bound. */
  parameterCount: number;
  /** Does it change rows and return them? */
  isReturning: boolean;
}

/** Throws {@link OptionsError} for named parameters and for more than one statement. */
export function inspectSql(sql: string): SqlText {
  let parameterCount = 0;
  let ended = false;
  const mayHoldStatements = TRIGGER.test(sql);
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token.startsWith('--') || token.startsWith('/*')) continue;
    if (ended && token !== ';') {
      throw new OptionsError(`one statement at a time, or exec() for several without parameters: ${excerptOf(sql)}`);
    }
    const first = token[0];
    if (token === ';') ended = !mayHoldStatements;
    else if (first === '?')
      parameterCount = token === '?' ? parameterCount + 1 : Math.max(parameterCount, Number(token.slice(1)));
    else if (first === ':' || first === '@' || (first === '$' && token.length > 1)) {
      throw new OptionsError(`named parameter ${token}: write ? and give the values in order: ${excerptOf(sql)}`);
    }
  }
  return { parameterCount, isReturning: RETURNING.test(sql) };
}

/** The start of a statement, for messages. */
export function excerptOf(sql: string): string {
  const line = sql.replace(/\s+/g, ' ').trim();
  return line.length <= 120 ? line : `${line.slice(0, 117)}...`;
}
