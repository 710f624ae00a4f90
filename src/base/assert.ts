/**
 * Assertions for programmer errors: arguments, state before and after, decode(encode(x)). Always on.
 * Checks on bytes from disk or network are not assertions: they are errors with a code of their own.
 */
import { InvariantError } from './errors.js';

/** Throws {@link InvariantError} unless the condition holds. `whatMustHold` is the sentence that is not true. */
export function assert(condition: unknown, whatMustHold: string): asserts condition {
  if (!condition) throw new InvariantError(`defect in foldlog: it must hold that ${whatMustHold}`);
}

/** For the end of a switch over a union: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new InvariantError(`defect in foldlog: unexpected value ${String(value)}`);
}
