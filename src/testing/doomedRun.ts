/**
 * One listener call in the life of a process, and the place where that is to end: a handler is called here, and cut off at
 * the step that was drawn. What dies with it are all other calls in the same life.
 */
import { isThenable } from '../base/thenable.js';
import { type Life, ProcessDied } from './life.js';
import { mortalContext, mortalHandler } from './mortalHandler.js';

export const CRASH_STEPS = ['BEFORE_CLAIM', 'BEFORE_HANDLER', 'WITHIN', 'AFTER_HANDLER', 'AFTER_DONE'] as const;

/** Where a process will die: over which event, at which step. */
export interface Crash {
  eventId: string;
  step: (typeof CRASH_STEPS)[number];
  /** WITHIN: after so many calls of the handler. */
  calls: number;
}

/** What a listener call runs in. */
export interface Run {
  life: Life;
  crash: Crash | undefined;
}

/** Calls a handler's method. Throws or rejects with {@link ProcessDied} when the run's life ends meanwhile. */
export function callInLife(
  run: Run,
  method: (...args: unknown[]) => unknown,
  handler: object,
  args: unknown[],
): unknown {
  const { life } = run;
  life.assertLasts();
  const { eventId } = args[1] as { eventId: string };
  const crash = run.crash?.eventId === eventId ? run.crash : undefined;
  const die = (): never => {
    life.end();
    throw new ProcessDied();
  };
  if (crash?.step === 'BEFORE_HANDLER') die();
  let calls = 0;
  const step = <T>(call: () => T): T => {
    life.assertLasts();
    const result = call();
    calls += 1;
    if (crash?.step === 'WITHIN' && calls >= crash.calls) life.end();
    if (result instanceof Promise) return life.whileItLasts(result) as T;
    life.assertLasts();
    return result;
  };
  // A handler that made fewer calls than were drawn has come to its end: it dies there.
  const end = (result: unknown): unknown =>
    crash?.step === 'WITHIN' || crash?.step === 'AFTER_HANDLER' ? die() : result;
  const mortalArgs = [args[0], mortalContext(args[1] as object, step)];
  const result = Reflect.apply(method, mortalHandler(handler, step), mortalArgs);
  return isThenable(result) ? life.orDie(result).then(end) : end(result);
}
