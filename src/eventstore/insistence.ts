/**
 * Repeats requests to a broker or name server that is away, starting or overloaded, until they are answered or the time
 * is up. Only for requests that may be repeated: reads, making a topic, and appends, which carry an append id.
 *
 *     what failed                                          the request was
 *     connection refused, no address, no route             not executed: repeated
 *     SYSTEM_BUSY, FLOW_CONTROL, GO_AWAY                   not executed: repeated
 *     connection lost, no answer in time                   unknown: repeated
 *     FLUSH_DISK_TIMEOUT and its like                      unknown: repeated
 *     anything else                                        refused: thrown as it is
 *
 * An append that is still unknown when the time is up ends with OUTCOME_UNKNOWN; it was never decided again.
 */
import { sharedAbortController } from '../base/abort.js';
import { type Clock, delay } from '../base/clock.js';
import { BrokerError, FoldlogError, isFoldlogError, LifecycleError, messageOf, RemotingError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';

/** How long an unanswered request is repeated. A broker that is killed and started again is back well before. */
const REPEAT_FOR_MILLIS_DEFAULT = 30_000;
const PAUSE_FIRST_MILLIS = 20;
const PAUSE_LONGEST_MILLIS = 500;
const WARN_AFTER_MILLIS = 5_000;

/** What a failed request says about the request. */
type Failure = 'final' | 'not executed' | 'unknown';

/** Answers of a broker that is overloaded, starting or stopping. */
const PASSING: ReadonlySet<number> = new Set([
  RESPONSE_CODE.SYSTEM_BUSY,
  RESPONSE_CODE.FLOW_CONTROL,
  RESPONSE_CODE.GO_AWAY,
]);
/** Answers after which the record may lie in the log all the same. */
const UNSETTLED: ReadonlySet<number> = new Set([
  RESPONSE_CODE.FLUSH_DISK_TIMEOUT,
  RESPONSE_CODE.FLUSH_SLAVE_TIMEOUT,
  RESPONSE_CODE.SLAVE_NOT_AVAILABLE,
  RESPONSE_CODE.SERVICE_NOT_AVAILABLE,
]);

export interface InsistOptions {
  /** An append whose outcome stays open ends with OUTCOME_UNKNOWN. */
  isAppend?: boolean | undefined;
  /** Done before each repeat, such as asking where the broker is now. */
  before?: () => Promise<void>;
  /** Repeated for as long as it takes. A warning says so, once. */
  isEndless?: boolean;
  /** Ends the repeating: the last failure is thrown. */
  signal?: AbortSignal;
}

export class Insistence {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #repeatForMillis: number;
  readonly #closing = sharedAbortController();

  constructor(parts: { clock: Clock; logger: Logger; repeatForMillis?: number }) {
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#repeatForMillis = parts.repeatForMillis ?? REPEAT_FOR_MILLIS_DEFAULT;
  }

  /** Requests under way end with an error instead of being repeated. */
  close(): void {
    this.#closing.abort();
  }

  /**
   * @param what for messages: `append a-1 in topic orders`
   * @throws the last failure; of an append that may have been executed FoldlogError OUTCOME_UNKNOWN
   */
  async insist<T>(what: string, call: () => Promise<T>, options: InsistOptions = {}): Promise<T> {
    const { isAppend, before, isEndless = false, signal = this.#closing.signal } = options;
    const giveUpAt = isEndless ? Number.POSITIVE_INFINITY : this.#clock.monotonic() + this.#repeatForMillis;
    const warnAt = this.#clock.monotonic() + WARN_AFTER_MILLIS;
    let isWarned = !isEndless;
    let reason = '';
    let isUnknown = false;
    for (let pause = PAUSE_FIRST_MILLIS; ; pause = Math.min(pause * 2, PAUSE_LONGEST_MILLIS)) {
      try {
        return await call();
      } catch (thrown) {
        const failure = failureOf(thrown);
        if (failure === 'unknown' && isAppend) isUnknown = true;
        const isEnded = this.#closing.signal.aborted || signal.aborted;
        const isOver = this.#clock.monotonic() + pause >= giveUpAt || isEnded;
        if (failure === 'final' || isOver) throw isUnknown ? outcomeUnknown(what, thrown) : thrown;
        reason = messageOf(thrown);
        this.#logger.debug({ reason }, `${what} is repeated`);
      }
      if (!isWarned && this.#clock.monotonic() >= warnAt) {
        isWarned = true;
        this.#logger.warn({ reason }, `${what} has failed for some time and is repeated until it is answered`);
      }
      await delay(this.#clock, pause, signal);
      if (this.#closing.signal.aborted) {
        const closed = new LifecycleError(`${what} was given up: the application stops`);
        throw isUnknown ? outcomeUnknown(what, closed) : closed;
      }
      await before?.();
    }
  }
}

/** True for a failure that a repeat may mend. */
export const isPassing = (thrown: unknown): boolean => failureOf(thrown) !== 'final';

function failureOf(thrown: unknown): Failure {
  if (thrown instanceof BrokerError) {
    if (UNSETTLED.has(thrown.responseCode)) return 'unknown';
    return PASSING.has(thrown.responseCode) ? 'not executed' : 'final';
  }
  if (thrown instanceof RemotingError) {
    if (thrown.mayHaveBeenExecuted) return 'unknown';
    return thrown.code === 'FRAME_INVALID' ? 'final' : 'not executed';
  }
  // No name server knows a topic whose broker has not registered yet.
  return isFoldlogError(thrown) && thrown.code === 'TOPIC_NOT_FOUND' && thrown.retriable ? 'not executed' : 'final';
}

function outcomeUnknown(what: string, cause: unknown): FoldlogError {
  const code = isFoldlogError(cause) ? cause.code : undefined;
  return new FoldlogError(
    'OUTCOME_UNKNOWN',
    `${what} may or may not be stored (${messageOf(cause)}): repeat it with the same append id or command id`,
    { retriable: true, cause, causeCode: code },
  );
}
