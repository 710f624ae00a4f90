/**
 * Guarded appends and reads by key, carried to an answer. All streams of one request lie on one broker: the one that a
 * topic's route names; a route with two writable brokers is refused.
 *
 * A lost connection, a timeout and FLUSH_DISK_TIMEOUT leave open whether the append is stored. It is then repeated
 * with the same append id, which is stored once however often it comes, until the broker answers or the time is up;
 * only then OUTCOME_UNKNOWN is thrown. Nothing is ever decided again before the outcome is known.
 */
import { sharedAbortController } from '../base/abort.js';
import { type Clock, delay } from '../base/clock.js';
import {
  BrokerError,
  FoldlogError,
  isFoldlogError,
  LifecycleError,
  messageOf,
  OptionsError,
  RemotingError,
} from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Session } from '../client/session.js';
import type {
  AppendEventsOutcome,
  AppendEventsRequest,
  EventLogPosition,
  ReadByKeyRequest,
} from '../protocol/headers/events.js';
import type { StoredMessage } from '../protocol/message.js';
import { decodeRecords } from '../protocol/messageRecord.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';

/** How long an unanswered request is repeated. A broker that is killed and started again is back well before. */
export const REPEAT_FOR_MILLIS_DEFAULT = 30_000;
/** Longer than the broker's own wait for a sync (syncFlushTimeout, 5 s). */
const REQUEST_TIMEOUT_MILLIS = 8_000;
const PAUSE_FIRST_MILLIS = 20;
const PAUSE_LONGEST_MILLIS = 500;

/** One page of records, and the end of the log up to which all keys were read. */
export interface KeyPage {
  brokerName: string;
  records: StoredMessage[];
  end: EventLogPosition;
  /** Where the next page goes on; undefined when there is no more. */
  next: number | undefined;
}

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

function failureOf(thrown: unknown): Failure {
  if (thrown instanceof BrokerError) {
    if (UNSETTLED.has(thrown.responseCode)) return 'unknown';
    return PASSING.has(thrown.responseCode) ? 'not executed' : 'final';
  }
  if (thrown instanceof RemotingError) {
    if (thrown.mayHaveBeenExecuted) return 'unknown';
    return thrown.code === 'FRAME_INVALID' ? 'final' : 'not executed';
  }
  return 'final';
}

export class EventLog {
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #repeatForMillis: number;
  readonly #closing = sharedAbortController();
  /** The highest position seen of each broker's log, of its newest generation seen. */
  readonly #seen = new Map<string, EventLogPosition>();

  constructor(parts: { session: Session; clock: Clock; logger: Logger; repeatForMillis?: number }) {
    this.#session = parts.session;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#repeatForMillis = parts.repeatForMillis ?? REPEAT_FOR_MILLIS_DEFAULT;
  }

  /** Requests under way end with an error instead of being repeated. */
  close(): void {
    this.#closing.abort();
  }

  /** The newest generation seen of the broker's log; 0 before anything was heard of it. */
  generationOf(brokerName: string): number {
    return this.#seen.get(brokerName)?.generation ?? 0;
  }

  /** A position that the log has reached: an append id made now cannot lie before it. */
  reachedOf(brokerName: string): EventLogPosition | undefined {
    return this.#seen.get(brokerName);
  }

  /** The one broker of these topics. */
  async brokerOf(topics: Iterable<string>): Promise<string> {
    let broker: { name: string; topic: string } | undefined;
    for (const topic of topics) {
      for (const { brokerName } of await this.#session.routes.publishQueues(topic)) {
        broker ??= { name: brokerName, topic };
        if (broker.name !== brokerName) {
          throw new OptionsError(
            `events of one append must lie on one broker, but ${broker.topic} is on ${broker.name} and ${topic} on ${brokerName}: an event topic has one writable broker`,
            { brokers: [broker.name, brokerName], topics: [broker.topic, topic] },
          );
        }
      }
    }
    if (!broker) throw new OptionsError('no topic is given');
    return broker.name;
  }

  /** @throws FoldlogError OUTCOME_UNKNOWN when no answer came for too long */
  async append(brokerName: string, request: AppendEventsRequest): Promise<AppendEventsOutcome> {
    const topic = request.events[0]?.topic ?? '';
    const outcome = await this.#insist(`append ${request.appendId}`, topic, brokerName, (address) =>
      this.#session.brokerCalls.appendEvents(address, request, REQUEST_TIMEOUT_MILLIS),
    );
    if ('places' in outcome) {
      const last = outcome.places.at(-1);
      if (last) this.#saw(brokerName, { commitLogOffset: last.commitLogOffset, generation: outcome.generation });
    }
    return outcome;
  }

  async read(brokerName: string, request: ReadByKeyRequest): Promise<KeyPage> {
    const topic = request.keys[0]?.topic ?? '';
    const answer = await this.#insist('read by key', topic, brokerName, (address) =>
      this.#session.brokerCalls.readByKey(address, request, REQUEST_TIMEOUT_MILLIS),
    );
    if (request.until === undefined) this.#saw(brokerName, answer.end);
    return { brokerName, records: decodeRecords(answer.records), end: answer.end, next: answer.next };
  }

  /** Asks for the generation of the log that holds the topic; positions of consumed events carry it. */
  async learn(topic: string): Promise<void> {
    const brokerName = await this.brokerOf([topic]);
    const keys = [{ topic, key: 'foldlog:generation' }];
    await this.read(brokerName, {
      keys,
      from: Number.MAX_SAFE_INTEGER,
      direction: 'forwards',
      maxCount: 1,
      maxBytes: 1,
    });
  }

  async #insist<T>(what: string, topic: string, brokerName: string, call: (address: string) => Promise<T>): Promise<T> {
    const giveUpAt = this.#clock.monotonic() + this.#repeatForMillis;
    let isUnknown = false;
    for (let pause = PAUSE_FIRST_MILLIS; ; pause = Math.min(pause * 2, PAUSE_LONGEST_MILLIS)) {
      try {
        return await call(this.#addressOf(brokerName));
      } catch (thrown) {
        const failure = failureOf(thrown);
        if (failure === 'unknown') isUnknown = true;
        const isOver = this.#clock.monotonic() + pause >= giveUpAt || this.#closing.signal.aborted;
        if (failure === 'final' || isOver) throw isUnknown ? outcomeUnknown(what, topic, thrown) : thrown;
        this.#logger.debug({ topic, brokerName, reason: messageOf(thrown) }, `${what} is repeated`);
      }
      await delay(this.#clock, pause, this.#closing.signal);
      if (this.#closing.signal.aborted) {
        const closed = new LifecycleError(`${what} in topic ${topic} was given up: the application stops`);
        throw isUnknown ? outcomeUnknown(what, topic, closed) : closed;
      }
      await this.#session.routes.refreshSoon(topic);
    }
  }

  #addressOf(brokerName: string): string {
    const address = this.#session.routes.masterAddress(brokerName);
    if (address === undefined) {
      throw new RemotingError('CONNECT_FAILED', `no address of broker ${brokerName} is known: is it running?`, {
        brokerName,
      });
    }
    return address;
  }

  #saw(brokerName: string, position: EventLogPosition): void {
    const seen = this.#seen.get(brokerName);
    const isNewer =
      !seen ||
      position.generation > seen.generation ||
      (position.generation === seen.generation && position.commitLogOffset > seen.commitLogOffset);
    if (isNewer) this.#seen.set(brokerName, position);
  }
}

function outcomeUnknown(what: string, topic: string, cause: unknown): FoldlogError {
  const code = isFoldlogError(cause) ? cause.code : undefined;
  return new FoldlogError(
    'OUTCOME_UNKNOWN',
    `${what} in topic ${topic} may or may not be stored (${messageOf(cause)}): repeat it with the same append id or command id`,
    { topic, retriable: true, cause, causeCode: code },
  );
}
