/** The values of the event store's face: streams, events, positions, expectations. */
import type { QueueOffset, StreamVersion, TimestampMillis } from '../base/flavours.js';

/** What `expectedVersion` may say: a version, or a keyword. Default ANY. */
export type ExpectedVersion = StreamVersion | 'NO_STREAM' | 'STREAM_EXISTS' | 'ANY';

/** Where an event lies in the log: an opaque token, comparable within one store's generation (docs/delivery.md). */
export interface EventPosition {
  commitLogOffset: number;
  generation: number;
  brokerName: string;
  queueId: number;
  queueOffset: QueueOffset;
}

/** A class marked with `@Event`: how foldlog tells event types apart. */
// biome-ignore lint/suspicious/noExplicitAny: a constructor of any arguments, as class decorators get it
export type EventClass<E extends object = object> = new (...args: any[]) => E;

export interface EventMetadata {
  correlationId?: string;
  causationId?: string;
  actor?: string;
  /** The event's own time. Default: now. */
  occurredAt?: Date;
}

/** An event on its way into a stream. */
export interface EventToAppend<E extends object = object> extends EventMetadata {
  /** An instance of a class marked with `@Event`. */
  event: E;
  /** Further keys of consistency boundaries, besides the stream. */
  keys?: readonly string[];
}

/** An event read from the log, upcast to its class's version and validated when it was written. */
export interface RecordedEvent<E extends object = object> {
  event: E;
  type: string;
  schemaVersion: number;
  eventId: string;
  topic: string;
  /** `order:42`: the first key. */
  stream: string;
  version: StreamVersion;
  position: EventPosition;
  occurredAt: Date;
  storedAt: Date;
  keys: readonly string[];
  correlationId: string | undefined;
  causationId: string | undefined;
  actor: string | undefined;
}

/** Names a stream: its topic and its key. */
export interface StreamName {
  topic: string;
  stream: string;
}

export interface AppendOptions {
  expectedVersion?: ExpectedVersion;
  /** Makes the append repeatable: the same id is stored once, from whatever process. Made when absent. */
  appendId?: string | undefined;
}

export interface AppendResult {
  /** Version of the stream after the append. */
  version: StreamVersion;
  /** Of the last event appended. */
  position: EventPosition;
  eventIds: readonly string[];
  storedAt: TimestampMillis;
  /** True when this append id had been stored before: nothing new was appended. */
  alreadyAppended: boolean;
}

/** Names a key within its topic: a stream, or any further key of an event. */
export interface EventKeyName {
  topic: string;
  key: string;
}

/** An event with the stream that it goes to, for an append over several streams. */
export interface StreamEvent<E extends object = object> extends EventToAppend<E>, StreamName {}

/**
 * What a read of keys rested on: nothing new may be stored under any of the keys, in any place, since. Opaque; made by
 * `readKeys`, valid in whatever process.
 */
export interface AppendCondition {
  readonly keys: readonly EventKeyName[];
  readonly end: { readonly commitLogOffset: number; readonly generation: number };
}

export interface ConditionalAppendOptions {
  /** From `readKeys`. */
  condition?: AppendCondition | undefined;
  /** Versions of single streams, besides the condition. */
  expectedVersions?: readonly (StreamName & { expected: ExpectedVersion })[];
  appendId?: string | undefined;
}

/** The outcome of an append over several streams; the lists have one entry per event, in the order given. */
export interface ConditionalAppendResult {
  versions: readonly StreamVersion[];
  positions: readonly EventPosition[];
  /** Of the last event appended. */
  position: EventPosition;
  eventIds: readonly string[];
  storedAt: TimestampMillis;
  alreadyAppended: boolean;
}

/**
 * What an event does whose type no class here has: 'fail' ends the read with EVENT_INVALID, 'skip' leaves it out, 'raw'
 * gives it as it is stored, a `RawEvent`.
 */
export type UnknownTypesChoice = 'fail' | 'skip' | 'raw';

/** Which part is read, and how. Bounds hold whatever the direction. */
export interface ReadOptions {
  /** The first event: the log's start, the event at this position, or the first one stored at this moment or after. Default 'start'. */
  from?: 'start' | EventPosition | Date;
  /** In place of `from`: only what lies behind this event, the last one that was seen. */
  after?: EventPosition;
  /** The last event: the one at this position. Default the newest when the read begins. */
  to?: EventPosition;
  /** Only events stored at this moment or before: the state as of then. */
  until?: Date;
  /** Default forwards. */
  direction?: 'forwards' | 'backwards';
  /** What an event does whose type no class here has. Default 'fail'. */
  unknownTypes?: UnknownTypesChoice;
  signal?: AbortSignal;
}

export interface ReadStreamOptions extends ReadOptions {
  /** First version wanted, from 1. Default 1. */
  fromVersion?: StreamVersion;
  /** Last version wanted. Default the newest. */
  toVersion?: StreamVersion;
}

export interface ReadAllOptions extends ReadOptions {
  /** The broker whose log is read. Needed when the cluster has several: an order is what one log has. */
  brokerName?: string;
}

export interface ReadKeysOptions {
  /** Only what lies behind this event, the last one that was seen. */
  after?: EventPosition;
  /** What an event does whose type no class here has. Default 'skip'. */
  unknownTypes?: UnknownTypesChoice;
  signal?: AbortSignal;
}

/** What is followed: everything, a topic, a stream, or what is stored under any of some keys. */
export type EventSelection = 'all' | { topic: string } | StreamName | { keys: readonly EventKeyName[] };

export interface SubscribeOptions {
  /**
   * The first event: the log's start, the next one to be stored ('end'), the event at this position, the first one stored
   * at this moment or after, or the version of a stream. Default 'start'.
   */
  from?: 'start' | 'end' | EventPosition | Date | StreamVersion;
  /** In place of `from`: only what lies behind this event, the last one that was handled. */
  after?: EventPosition;
  /** What an event does whose type no class here has. Default 'fail'. */
  unknownTypes?: UnknownTypesChoice;
  /** For 'all' on a cluster with several brokers. */
  brokerName?: string;
  /** Ends the subscription. */
  signal?: AbortSignal;
}
