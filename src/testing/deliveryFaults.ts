/** What a test may ask deliveries to suffer, and what they suffered. */
import { OptionsError } from '../base/errors.js';

/** Each rate is a share of deliveries, 0 to 1. Default 0. */
export interface DeliveryFaults {
  /** A message is delivered again although it was handled: at once, beside its first delivery, or with those before it. */
  duplicates?: number;
  /** Concurrent: messages are overtaken by later ones. Ordered: queues, and so their streams, are overtaken by others. */
  reorder?: number;
  /** A delivery comes late, by up to 50 ms of the application's clock. */
  delay?: number;
  /**
   * The process that runs the handler dies: before the message is claimed, before the handler, after any call that the
   * handler makes, after the handler, or after its done mark. The group goes on as after a restart.
   */
  crash?: number;
  /** Repeats a run. Default: another one each time, told when the run fails. */
  seed?: number;
}

/** How often each fault struck. */
export interface FaultsMet {
  duplicates: number;
  reordered: number;
  delayed: number;
  crashes: number;
}

const RATES = ['duplicates', 'reorder', 'delay', 'crash'] as const;

/** Throws OptionsError for a rate that is none. */
export function checkFaults(faults: DeliveryFaults): void {
  for (const name of RATES) {
    const rate = faults[name] ?? 0;
    if (!(rate >= 0 && rate <= 1)) throw new OptionsError(`deliver.${name}: ${rate} is not a rate from 0 to 1`);
  }
  const { seed = 0 } = faults;
  if (!Number.isSafeInteger(seed)) throw new OptionsError(`deliver.seed: ${seed} is not a whole number`);
}

/** The error with the seed in its message, so that whoever reads it can repeat the run. */
export function withSeed(thrown: unknown, seed: number): unknown {
  const note = `(deliver: seed ${seed} repeats these faults)`;
  if (!(thrown instanceof Error)) return new Error(`${String(thrown)} ${note}`, { cause: thrown });
  if (thrown.message.includes(note)) return thrown;
  const { message, stack } = thrown;
  const noted = `${message.trimEnd()}${message.includes('\n') ? '\n' : ' '}${note}`;
  // What an AbortSignal throws has a message that cannot be set; so has what is frozen.
  if (!Reflect.set(thrown, 'message', noted)) return new Error(noted, { cause: thrown });
  const notedStack = stack?.replace(message, () => noted);
  if (notedStack !== undefined) Reflect.set(thrown, 'stack', notedStack);
  return thrown;
}
