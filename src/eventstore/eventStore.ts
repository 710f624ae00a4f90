/**
 * The event store's face: appends guarded by expected versions or by a condition that a read fixed, and reads of
 * streams and keys. The broker checks, numbers and stores in one step (docs/eventstore.md); this class encodes,
 * carries the request to an answer (`eventLog.ts`) and turns conflicts into errors.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.js';
import { ExpectedVersionError, FoldlogError, LifecycleError, OptionsError } from '../base/errors.js';
import { APPEND_ID_MAX_LENGTH, type AppendEventsOutcome } from '../protocol/headers/events.js';
import { encodeProperties } from '../protocol/messageProperties.js';
import { toEventToAppend } from './event.js';
import { eventClassOf } from './eventClass.js';
import type { EventCodec } from './eventCodec.js';
import { decodeKey, encodeKey } from './eventKeys.js';
import type { EventLog } from './eventLog.js';
import { StreamOrder } from './eventOrder.js';
import { hasPosition, type LogRange, logRangeOf } from './eventRange.js';
import { type EventReader, inStreamOrder, type LogSelection, type RecordPage } from './eventReader.js';
import { EventSubscription } from './eventSubscription.js';
import type { EventTopics } from './eventTopics.js';
import type {
  AppendCondition,
  AppendOptions,
  AppendResult,
  ConditionalAppendOptions,
  ConditionalAppendResult,
  EventKeyName,
  EventSelection,
  EventToAppend,
  ReadAllOptions,
  ReadKeysOptions,
  ReadOptions,
  ReadStreamOptions,
  RecordedEvent,
  StreamEvent,
  StreamName,
  SubscribeOptions,
} from './eventTypes.js';
import { eventsOf, type OpenedRead, recordedEventOf, recordedEventsOf } from './recordedEvents.js';
import { subscriptionPlanOf } from './subscriptionPlan.js';

/** Events of one append: they lie next to each other in one segment, and answers name each. */
export const APPEND_MAX_EVENTS = 1_000;
/** A read of keys is held in memory; above this many events it is refused. */
export const READ_KEYS_MAX_EVENTS = 100_000;
/** An append id becomes part of event ids, which are message keys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is not allowed
const APPEND_ID_FORM = /^[^\u0000-\u0020\u007f]+$/;

const PROBE_BODY = Buffer.from('{}');

export interface EventStoreParts {
  log: EventLog;
  reader: EventReader;
  codec: EventCodec;
  clock: Clock;
  topics: EventTopics;
}

/** Appends to and reads from event streams. `app.eventStore` is one. */
export class EventStore {
  readonly #parts: EventStoreParts;
  readonly #subscriptions = new Set<EventSubscription>();
  #isClosed = false;

  constructor(parts: EventStoreParts) {
    this.#parts = parts;
  }

  /**
   * Appends events to one stream, or with `append(events, options)` to several at once, all or none.
   *
   * @throws ExpectedVersionError when the stream is not at the expected version; FoldlogError CONDITION_FAILED when
   * something is stored under a key of the condition, EVENT_INVALID, OUTCOME_UNKNOWN (repeat with the same append id)
   * @example await eventStore.append({ topic: 'orders', stream: 'order:42' }, [event(OrderPlaced, { cents: 100 })],
   *   { expectedVersion: 'NO_STREAM' });
   */
  append(
    stream: StreamName,
    events: readonly (object | EventToAppend)[],
    options?: AppendOptions,
  ): Promise<AppendResult>;
  append(events: readonly StreamEvent[], options?: ConditionalAppendOptions): Promise<ConditionalAppendResult>;
  append(
    first: StreamName | readonly StreamEvent[],
    second: readonly (object | EventToAppend)[] | ConditionalAppendOptions = {},
    third: AppendOptions = {},
  ): Promise<AppendResult | ConditionalAppendResult> {
    if (isList(first)) return this.#appendMany(first, isList(second) ? {} : (second as ConditionalAppendOptions));
    if (!isList(second)) {
      return Promise.reject(new OptionsError('append(stream, events) needs a list of events as its second argument'));
    }
    return this.#appendOne(first, second, third);
  }

  async #appendOne(name: StreamName, events: readonly object[], options: AppendOptions): Promise<AppendResult> {
    const { topic, stream } = name;
    const expected = options.expectedVersion ?? 'ANY';
    const result = await this.appendGuarded(
      events.map((given) => inStream(name, given)),
      { appendId: options.appendId, expectedVersions: expected === 'ANY' ? [] : [{ topic, stream, expected }] },
    );
    const { eventIds, position, storedAt, alreadyAppended } = result;
    return { version: result.versions.at(-1) ?? 0, position, eventIds, storedAt, alreadyAppended };
  }

  async #appendMany(
    events: readonly StreamEvent[],
    options: ConditionalAppendOptions,
  ): Promise<ConditionalAppendResult> {
    const checked = events.map((given) => {
      if (typeof given.topic !== 'string' || typeof given.stream !== 'string') {
        throw new OptionsError('append(events) needs { topic, stream, event } for each event');
      }
      return { ...given, ...toEventToAppend(given) };
    });
    return this.appendGuarded(checked, options);
  }

  /** Makes sure that the topic exists and is an event topic. */
  prepareTopic(topic: string): Promise<void> {
    return this.#parts.topics.prepare(topic);
  }

  /** One guarded append as the broker takes it. */
  async appendGuarded(
    events: readonly StreamEvent[],
    options: ConditionalAppendOptions,
  ): Promise<ConditionalAppendResult> {
    const { log, codec, clock } = this.#parts;
    if (events.length === 0 || events.length > APPEND_MAX_EVENTS) {
      throw new OptionsError(`an append takes 1 to ${APPEND_MAX_EVENTS} events, not ${events.length}`);
    }
    const { appendId, condition } = options;
    if (appendId !== undefined && !(APPEND_ID_FORM.test(appendId) && appendId.length <= APPEND_ID_MAX_LENGTH)) {
      throw new OptionsError(
        `append id ${JSON.stringify(appendId)} must be 1 to ${APPEND_ID_MAX_LENGTH} characters without blanks and control characters`,
      );
    }
    const now = clock.now();
    const encoded = events.map((given) => {
      const { keys, body, propertiesText } = codec.encode(given.stream, given, now);
      return { topic: given.topic, keys, body, propertiesText };
    });
    const topics = new Set(events.map(({ topic }) => topic));
    for (const topic of topics) await this.prepareTopic(topic);
    const brokerName = await log.brokerOf(topics);
    const id = appendId ?? randomUUID();
    const outcome = await log.append(brokerName, {
      appendId: id,
      // An id that is made here cannot have been stored before what is already known of the log.
      appendIdSince: appendId === undefined ? log.reachedOf(brokerName) : undefined,
      bornTimestamp: now,
      expectedVersions: (options.expectedVersions ?? []).map(({ topic, stream, expected }) => ({
        topic,
        stream: encodeKey(stream),
        expected,
      })),
      condition: condition && { end: condition.end, keys: condition.keys.map(encodeName) },
      events: encoded,
    });
    return resultOf(outcome, id, brokerName);
  }

  /**
   * The append stored under this id, if there is one. Asks with an append that cannot succeed: the broker looks the id
   * up before it looks at the version, and no stream reaches the one that is expected here.
   */
  async findAppend(name: StreamName, appendId: string): Promise<ConditionalAppendResult | undefined> {
    const stream = encodeKey(name.stream);
    const brokerName = await this.#parts.log.brokerOf([name.topic]);
    const outcome = await this.#parts.log.append(brokerName, {
      appendId,
      bornTimestamp: this.#parts.clock.now(),
      expectedVersions: [{ topic: name.topic, stream, expected: Number.MAX_SAFE_INTEGER }],
      events: [
        { topic: name.topic, keys: [stream], body: PROBE_BODY, propertiesText: encodeProperties({ KEYS: stream }) },
      ],
    });
    return outcome.status === 'ALREADY_APPENDED' ? resultOf(outcome, appendId, brokerName) : undefined;
  }

  /**
   * The events of a stream in order of version, page by page. A stream that does not exist has none.
   *
   * @throws FoldlogError EVENT_INVALID for an event that does not decode, or whose type no class here has; CORRUPTION
   * where an event of the stream was lost; POSITION_LOST
   */
  readStream(name: StreamName, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent, void, undefined> {
    const { fromVersion = 1, toVersion = Number.MAX_SAFE_INTEGER, unknownTypes = 'fail', signal } = options;
    const { reader, topics } = this.#parts;
    const open = async (): Promise<OpenedRead | undefined> => {
      const range = logRangeOf(options);
      const { direction } = range;
      if (!(await topics.exists(name.topic))) return undefined;
      const pages = hasPosition(range) ? await this.#streamFrom(name, range) : reader.streamPages(name, { direction });
      const lastVersion = direction === 'forwards' ? toVersion : fromVersion;
      // The store's clock may have been set back, so a later event may be stored earlier: moments are no early end.
      const choice = { range, unknownTypes, fromVersion, toVersion };
      return { pages: upToVersion(pages, lastVersion, direction), choice };
    };
    return eventsOf(reader, open, signal);
  }

  async #streamFrom(name: StreamName, range: LogRange): Promise<AsyncGenerator<RecordPage, void, undefined>> {
    const { reader } = this.#parts;
    const selection = await reader.selectionOf([], [{ topic: name.topic, key: name.stream }]);
    return inStreamOrder(name, reader.logPages(selection, range), new StreamOrder(name, range.direction, undefined));
  }

  /**
   * The events of a topic in the order of the log, page by page: those of all its streams. A topic that does not exist
   * has none.
   *
   * @throws FoldlogError EVENT_INVALID, CORRUPTION where an event was lost, POSITION_LOST for a position that the log
   * does not hold any more; BrokerError from brokers that are none of foldlog's
   * @example for await (const { event, position } of store.readTopic('orders', { from: new Date('2026-01-01') })) …
   */
  readTopic(topic: string, options: ReadOptions = {}): AsyncGenerator<RecordedEvent, void, undefined> {
    const { reader, topics } = this.#parts;
    return this.#eventsOf(options, async () =>
      (await topics.exists(topic)) ? reader.selectionOf([topic], []) : undefined,
    );
  }

  /** The events of all topics of a broker in the order of its log, page by page. Throws as {@link readTopic}. */
  readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent, void, undefined> {
    return this.#eventsOf(options, ({ brokerName }) =>
      this.#parts.reader.selectionOf([], [], options.brokerName ?? brokerName),
    );
  }

  /**
   * What is stored under any of the keys, in the order of the log, page by page; {@link readKeys} gives the condition to
   * append under besides. Throws as {@link readTopic}.
   */
  iterateKeys(
    keys: readonly EventKeyName[],
    options: ReadOptions = {},
  ): AsyncGenerator<RecordedEvent, void, undefined> {
    return this.#eventsOf(options, async () => {
      if (keys.length === 0) throw new OptionsError('iterateKeys needs at least one key');
      const there: EventKeyName[] = [];
      for (const key of keys) if (await this.#parts.topics.exists(key.topic)) there.push(key);
      return there.length === 0 ? undefined : this.#parts.reader.selectionOf([], there);
    });
  }

  /** Of what `select` gives when the first event is asked for. */
  #eventsOf(
    options: ReadOptions,
    select: (range: LogRange) => Promise<LogSelection | undefined>,
  ): AsyncGenerator<RecordedEvent, void, undefined> {
    const { reader } = this.#parts;
    const { unknownTypes = 'fail', signal } = options;
    const open = async (): Promise<OpenedRead | undefined> => {
      const range = logRangeOf(options);
      const selection = await select(range);
      return selection && { pages: reader.logPages(selection, range), choice: { range, unknownTypes } };
    };
    return eventsOf(reader, open, signal);
  }

  /**
   * The events of a selection from a place on, and live from then on: each once, in the order of the log, over restarts
   * of the broker. Topics that do not exist yet are made. Ends with `return()` (or leaving the loop), its signal, or the
   * application; with an error as {@link readTopic} does.
   *
   * @example for await (const { event, position } of store.subscribe({ topic: 'orders' }, { after: lastHandled })) …
   */
  subscribe(selection: EventSelection, options: SubscribeOptions = {}): EventSubscription {
    if (this.#isClosed) throw new LifecycleError('the application is stopped: nothing can be subscribed to');
    const plan = subscriptionPlanOf(selection, options);
    const { reader, topics, clock } = this.#parts;
    const subscription = new EventSubscription({
      open: (signal) => {
        const opening = (async () => {
          for (const topic of plan.topicNames) await topics.prepare(topic);
          const selected = await reader.selectionOf(plan.topics, plan.keys, plan.brokerName);
          return { selected, first: await reader.firstPage(selected, plan.start, signal) };
        })();
        async function* pages() {
          const { selected, first } = await opening;
          const live = reader.livePages(selected, Promise.resolve(first), { clock, signal });
          yield* plan.inOrder(live);
        }
        return { start: opening, pages: pages() };
      },
      recordedOf: (record) => recordedEventOf(reader, record, plan.choice),
      signal: options.signal,
      onEnd: (ended) => this.#subscriptions.delete(ended),
    });
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** Ends the subscriptions. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of [...this.#subscriptions]) subscription.close();
  }

  /**
   * Everything stored under the keys, in the order of the log, and the condition to append under: that nothing new is
   * stored under any of them since.
   */
  async readKeys(
    keys: readonly EventKeyName[],
    options: ReadKeysOptions = {},
  ): Promise<{ events: RecordedEvent[]; condition: AppendCondition }> {
    if (keys.length === 0) throw new OptionsError('readKeys needs at least one key');
    const { after, unknownTypes = 'skip', signal } = options;
    const range = logRangeOf({ ...(after && { after }) });
    for (const topic of new Set(keys.map((one) => one.topic))) await this.prepareTopic(topic);
    const { reader } = this.#parts;
    const pages = hasPosition(range) ? reader.logPages(await reader.selectionOf([], keys), range) : reader.pages(keys);
    const events: RecordedEvent[] = [];
    let condition: AppendCondition | undefined;
    for await (const page of pages) {
      signal?.throwIfAborted();
      condition ??= { keys: keys.map(({ topic, key }) => ({ topic, key })), end: page.end };
      events.push(...recordedEventsOf(reader, page, { range, unknownTypes }));
      if (events.length > READ_KEYS_MAX_EVENTS) {
        throw new OptionsError(`the keys hold more than ${READ_KEYS_MAX_EVENTS} events: choose narrower keys`, {
          keys,
        });
      }
    }
    if (!condition) throw new FoldlogError('INVARIANT', 'defect in foldlog: a read of keys gave no page');
    return { events, condition };
  }
}

/** Ends with the page that holds the version. */
async function* upToVersion(
  pages: AsyncIterable<RecordPage>,
  version: number,
  direction: 'forwards' | 'backwards',
): AsyncGenerator<RecordPage, void, undefined> {
  for await (const page of pages) {
    yield page;
    const last = page.records.at(-1)?.version;
    if (last !== undefined && (direction === 'forwards' ? last >= version : last <= version)) return;
  }
}

function inStream({ topic, stream }: StreamName, given: object): StreamEvent {
  // Most are events alone; to build the pair twice would cost as much as the rest of this step.
  return eventClassOf(given) ? { topic, stream, event: given } : { ...toEventToAppend(given), topic, stream };
}

function isList(value: object): value is readonly object[] {
  return Array.isArray(value);
}

const encodeName = ({ topic, key }: EventKeyName) => ({ topic, key: encodeKey(key) });

function resultOf(outcome: AppendEventsOutcome, appendId: string, brokerName: string): ConditionalAppendResult {
  switch (outcome.status) {
    case 'VERSION_CONFLICT':
      throw new ExpectedVersionError(decodeKey(outcome.stream), outcome.expected, outcome.actual);
    case 'CONDITION_CONFLICT': {
      const key = decodeKey(outcome.key);
      throw new FoldlogError(
        'CONDITION_FAILED',
        `something new is stored under key ${key} of topic ${outcome.topic}: read again and decide again`,
        { topic: outcome.topic, key, retriable: true },
      );
    }
    default: {
      const positions = outcome.places.map(({ commitLogOffset, queueId, queueOffset }) => ({
        commitLogOffset,
        generation: outcome.generation,
        brokerName,
        queueId,
        queueOffset,
      }));
      const position = positions.at(-1);
      if (!position) throw new FoldlogError('FRAME_INVALID', `the answer to append ${appendId} names no place`);
      return {
        versions: outcome.places.map(({ version }) => version),
        positions,
        position,
        eventIds: positions.map((_, index) => `${appendId}-${index}`),
        storedAt: outcome.storeTimestamp,
        alreadyAppended: outcome.status === 'ALREADY_APPENDED',
      };
    }
  }
}
