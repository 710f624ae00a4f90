/** What a test expects to be thrown, and whether it was. */
import { AssertionError } from 'node:assert';
import { messageOf } from '../base/errors.js';

/** What a command or handler may throw: an error class, a part of the message, or a pattern for it. */
// biome-ignore lint/suspicious/noExplicitAny: an error class of any constructor
export type Refusal = string | RegExp | (abstract new (...args: any[]) => Error);

/** @param who what threw: `the command`; @throws AssertionError unless it is what was expected */
export function assertThrown(who: string, thrown: unknown, expected: Refusal | undefined): void {
  if (expected === undefined || isExpected(thrown, expected)) return;
  const wanted = typeof expected === 'function' ? expected.name : String(expected);
  throw new AssertionError({
    message: `expected ${who} to throw ${wanted}, it threw ${messageOf(thrown)}`,
    actual: thrown,
    expected,
    operator: 'thenThrows',
  });
}

function isExpected(thrown: unknown, expected: Refusal): boolean {
  if (typeof expected === 'function') return thrown instanceof expected;
  const message = messageOf(thrown);
  return typeof expected === 'string' ? message.includes(expected) : expected.test(message);
}
