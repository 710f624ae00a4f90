/** The values of the client's face: what is sent, what comes back, how consumption is asked for. */
import type { Clock } from '../base/clock.js';
import type { FoldlogError } from '../base/errors.js';
import type { QueueOffset, TimestampMillis } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { MessageQueue, StoredMessage } from '../protocol/message.js';
import type { MessageProperties } from '../protocol/messageProperties.js';
import type { ProcessorTable } from '../remoting/processorTable.js';
import type { Transport } from '../remoting/transport.js';

/** A message as a producer gives it. */
export interface Message {
  topic: string;
  /** 1 byte to 4 MiB. */
  body: Buffer | string;
  tags?: string;
  /** Business keys; each is indexed. None may hold a blank. */
  keys?: readonly string[];
  /** User properties; reserved names are refused. */
  properties?: MessageProperties;
  flag?: number;
  /** 1 to 18 (1s 5s 10s 30s 1m … 2h): delivered after the level's delay. */
  delayLevel?: number;
  /** Delivered so many milliseconds after the broker stored it, to the broker's precision (1 s). Instead of a level. */
  delayMillis?: number;
  /** Delivered at this time, to the broker's precision (1 s). Instead of a level or a delay; one that has passed: at once. */
  deliverAtMillis?: TimestampMillis;
  /** False: answered before flush and replication. Default true. */
  waitStoreOk?: boolean;
  /** Client message id (UNIQ_KEY); made when absent. A copy that is sent again keeps it. */
  uniqueKey?: string;
}

export type SendStatus = 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE';

export interface SendResult {
  status: SendStatus;
  /** UNIQ_KEY; of a batch, comma-separated. */
  msgId: string;
  /** Store host and commit log offset in hex; of a batch, comma-separated. */
  offsetMsgId: string;
  queue: MessageQueue;
  queueOffset: QueueOffset;
  /** Of a message that waits for its time: with it `Producer.recall` takes it back. */
  recallHandle?: string;
}

/** A message as a consumer gets it: body decompressed. */
export interface ReceivedMessage extends StoredMessage {
  brokerName: string;
  /** UNIQ_KEY if the message has one, else the offset message id. */
  msgId: string;
  offsetMsgId: string;
  /** The topic as the application knows it: of a retried message the original one, not `%RETRY%group`. */
  originalTopic: string;
  tags: string | undefined;
  keys: readonly string[];
  /**
   * Why the body could not be decompressed; `body` is then as stored and `sysFlag` still says so. Push consumers move
   * such a message to the dead letters, no listener sees it.
   */
  defect?: FoldlogError;
}

export const MessageModel = { CLUSTERING: 'CLUSTERING', BROADCASTING: 'BROADCASTING' } as const;
export type MessageModel = keyof typeof MessageModel;

export const ConsumeFromWhere = {
  CONSUME_FROM_LAST_OFFSET: 'CONSUME_FROM_LAST_OFFSET',
  CONSUME_FROM_FIRST_OFFSET: 'CONSUME_FROM_FIRST_OFFSET',
  CONSUME_FROM_TIMESTAMP: 'CONSUME_FROM_TIMESTAMP',
} as const;
export type ConsumeFromWhere = keyof typeof ConsumeFromWhere;

/** Which messages of a topic: a tag expression (`A || B`, `*`) or SQL92 over properties. */
export interface Subscription {
  topic: string;
  expression?: string;
  /** Default TAG. */
  expressionType?: 'TAG' | 'SQL92';
}

/** `concurrent`: failures are sent back and overtaken. `ordered`: one at a time per queue under a broker's queue lock; a failure holds its queue. */
export type ConsumeMode = 'concurrent' | 'ordered';

/**
 * What a listener says of the batch it was given.
 *
 * - SUCCESS: settled, the offset may pass.
 * - RETRY_LATER: concurrent: sent back with `delayLevel` (default 0: 3 + reconsumeTimes); ordered: held and given again after `suspendMillis`.
 * - HOLD: not an attempt: the same messages are given again after `suspendMillis`, reconsumeTimes unchanged, whatever the mode.
 * - DEAD_LETTER: goes to the group's dead-letter topic at once (BROADCASTING: reported and skipped).
 *
 * Absent `settled`, the status is said of the whole batch. With it, the first `settled` messages are settled (their
 * offset may pass), the status is said of the one message after them alone, and those behind it are given again
 * without an attempt counted: in ordered mode after that one's pause (none for DEAD_LETTER), in concurrent mode at once.
 */
export type ConsumeOutcome =
  | { status: 'SUCCESS' }
  | { status: 'RETRY_LATER'; delayLevel?: number; suspendMillis?: number; settled?: number }
  | { status: 'HOLD'; suspendMillis: number; settled?: number }
  | { status: 'DEAD_LETTER'; reason: string; settled?: number };

export interface ConsumeContext {
  queue: MessageQueue;
  /** Aborts when the consumer stops or loses the queue. */
  signal: AbortSignal;
}

/** Throwing or rejecting counts as RETRY_LATER. */
export type MessageListener = (
  messages: readonly ReceivedMessage[],
  context: ConsumeContext,
) => Promise<ConsumeOutcome>;

/** Where a group's progress is kept; default: the broker (CLUSTERING) or a local file (BROADCASTING). */
export interface OffsetStore {
  /** The next offset to consume; undefined when nothing is recorded. */
  load(queue: MessageQueue): Promise<QueueOffset | undefined>;
  /** Remembers progress in memory. */
  update(queue: MessageQueue, offset: QueueOffset): void;
  /** Writes what was remembered for these queues. */
  persist(queues: readonly MessageQueue[]): Promise<void>;
  /** Forgets a queue that is no longer assigned, after a persist. */
  forget(queue: MessageQueue): void;
}

export interface PushConsumerOptions {
  group: string;
  subscriptions: readonly Subscription[];
  listener: MessageListener;
  /** Default CLUSTERING. */
  model?: MessageModel;
  /** Default concurrent. */
  mode?: ConsumeMode;
  /** Where a group without recorded offset begins. Default CONSUME_FROM_LAST_OFFSET. */
  from?: ConsumeFromWhere;
  /** For CONSUME_FROM_TIMESTAMP. Default 30 minutes ago. */
  fromTimestamp?: TimestampMillis;
  /** Messages given to the listener at once. Default 1. */
  consumeMessageBatchMaxSize?: number;
  /** Listener calls under way at once in concurrent mode, and queues at once in ordered mode. Default 20. */
  consumeConcurrency?: number;
  /** Default 32. */
  pullBatchSize?: number;
  /**
   * Pause before the next pull of a queue that has been read to its end; RocketMQ's pullInterval. Messages come later by
   * as much, but many at a time, which costs both ends less. A backlog is read without pauses. Default 0.
   */
  pullIntervalMillis?: number;
  /** Cached messages per queue at which pulling pauses. Default 1000. */
  pullThresholdForQueue?: number;
  /** Cached bytes per queue at which pulling pauses. Default 100 MiB. */
  pullThresholdSizeBytesForQueue?: number;
  /** Offset span per queue at which concurrent pulling pauses. Default 2000. */
  consumeConcurrentlyMaxSpan?: number;
  /** Default -1: 16 attempts concurrent, unlimited ordered. */
  maxReconsumeTimes?: number;
  /** Ordered: default pause before a failed message is tried again. Default 1000. */
  suspendCurrentQueueTimeMillis?: number;
  /**
   * Concurrent: minutes after which a listener call counts as lost; its messages are sent back and come again later, so
   * that one call that never ends does not hold the queue's offset. Default 15.
   */
  consumeTimeoutMinute?: number;
  /** How queues are divided among the members of the group; all must have the same. Default AVG. */
  allocation?: 'AVG' | 'AVG_BY_CIRCLE' | 'CONSISTENT_HASH';
  /** How long `stop` waits for running listener calls. Default 5000. */
  stopTimeoutMillis?: number;
  offsetStore?: OffsetStore;
  /** Directory of the offsets of BROADCASTING groups. Default `<home>/.rocketmq_offsets`. */
  localOffsetDirectory?: string;
}

export interface SessionOptions {
  /** `host:port;host:port`. */
  namesrvAddr: string;
  /**
   * How servers are reached. Default: TCP. A function is given the table that answers what servers ask of this client
   * (members of a group changed, offsets reset …) and makes a transport of the session's own, closed with it. A
   * transport given ready-made stays the giver's: it is not closed, and what servers ask does not reach the session.
   */
  transport?: Transport | ((table: ProcessorTable) => Transport);
  /** Tells clients on one machine apart; part of the client id `ip@instanceName`. Default: process id and a counter. */
  instanceName?: string;
  /** Default 3000. */
  requestTimeoutMillis?: number;
  /** Default 30,000. */
  pollNameServerIntervalMillis?: number;
  /** Default 30,000. */
  heartbeatBrokerIntervalMillis?: number;
  /** Default 5,000. */
  persistConsumerOffsetIntervalMillis?: number;
  clock?: Clock;
  logger?: Logger;
}
