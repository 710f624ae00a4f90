/**
 * Sends messages that consumers see only when a local transaction has succeeded: the broker stores a half message, the
 * listener runs the local transaction, and its outcome is told to the broker that has the half. When nobody tells, the
 * broker asks a producer of the group, this one or another (CHECK_TRANSACTION_STATE), and the listener looks the outcome
 * up. Upstream: `TransactionMQProducer`, `DefaultMQProducerImpl.sendMessageInTransaction` and `checkTransactionState`.
 *
 * Differs from RocketMQ: the outcome is told by a request that is answered, so that the caller knows whether the commit
 * is stored; UNKNOW is not told, since a broker ignores it.
 */
import { LifecycleError, messageOf } from '../base/errors.js';
import type { CommitLogOffset, QueueOffset } from '../base/flavours.js';
import { type StoredMessage, SYS_FLAG } from '../protocol/message.js';
import { decodeOffsetMsgId } from '../protocol/messageId.js';
import { PROPERTY } from '../protocol/messageProperties.js';
import type { Message, ReceivedMessage, SendResult } from './clientTypes.js';
import { HALF } from './outgoing.js';
import { Producer, type ProducerOptions, type SendOptions } from './producer.js';
import { receive } from './receivedMessage.js';
import type { TransactionMember, TransactionQuestion } from './serverRequests.js';
import type { Session } from './session.js';

/** Questions of brokers that wait for the listener; over it they are left to the broker's next check. */
const QUESTIONS_MAX = 2000;

/** What became of a local transaction. UNKNOW: not known yet, the broker asks again later. */
export const LocalTransactionState = {
  COMMIT_MESSAGE: 'COMMIT_MESSAGE',
  ROLLBACK_MESSAGE: 'ROLLBACK_MESSAGE',
  UNKNOW: 'UNKNOW',
} as const;
export type LocalTransactionState = keyof typeof LocalTransactionState;

/** Throwing or rejecting counts as UNKNOW. */
export interface TransactionListener {
  /** Runs the local transaction of a message that the broker holds back. */
  executeLocalTransaction(
    message: Message,
    context: TransactionContext,
  ): LocalTransactionState | Promise<LocalTransactionState>;
  /**
   * Looks up what became of the local transaction of a message, perhaps one that another process of the group sent.
   * Answers ROLLBACK_MESSAGE only when it cannot commit any more: the first answer that is no UNKNOW counts.
   */
  checkLocalTransaction(message: ReceivedMessage): LocalTransactionState | Promise<LocalTransactionState>;
}

export interface TransactionContext {
  /** The message's unique key: a local transaction keeps it with its data, so that a check finds it. */
  transactionId: string;
  /** What the caller gave with the message. */
  argument: unknown;
}

export interface TransactionProducerOptions extends ProducerOptions {
  /** Brokers ask any producer of this group. */
  group: string;
  listener: TransactionListener;
  /**
   * Topics whose brokers are told of this producer at once. Without, a producer that was started anew is asked only
   * after its first send. Default none.
   */
  topics?: readonly string[];
}

export interface TransactionSendOptions extends SendOptions {
  /** Handed to `executeLocalTransaction`. */
  argument?: unknown;
}

export interface TransactionSendResult extends SendResult {
  /** The message's unique key. */
  transactionId: string;
  /** What the local transaction said; ROLLBACK_MESSAGE without running it when the half message was not stored in time. */
  localTransactionState: LocalTransactionState;
  /** What the broker has noted. UNKNOWN: it was not told, or did not answer, and will ask. */
  outcome: 'COMMITTED' | 'ROLLED_BACK' | 'UNKNOWN';
  /** What `executeLocalTransaction` threw. */
  localError?: unknown;
}

/** The place of a half message, as the end of its transaction names it. */
interface HalfPlace {
  topic: string;
  transactionId: string;
  commitLogOffset: CommitLogOffset;
  queueOffset: QueueOffset;
}

export class TransactionProducer {
  readonly group: string;
  readonly #session: Session;
  readonly #listener: TransactionListener;
  readonly #producer: Producer;
  readonly #leave: () => void;
  /** Checks run one after the other. */
  #checking: Promise<void> = Promise.resolve();
  #questionCount = 0;
  #isClosed = false;

  constructor({ listener, topics = [], ...options }: TransactionProducerOptions) {
    const { session, group } = options;
    this.group = group;
    this.#session = session;
    this.#listener = listener;
    const member: TransactionMember = { group, ask: (record, question) => this.#ask(record, question) };
    this.#leave = session.joinTransactionProducer(member);
    try {
      this.#producer = new Producer(options);
    } catch (thrown) {
      this.#leave();
      throw thrown;
    }
    void this.#becomeKnown(topics);
  }

  /**
   * Stores the message at the broker, runs the local transaction, and tells the broker what became of it. Rejects when
   * the message was not stored; then no local transaction ran.
   */
  async send(message: Message, options: TransactionSendOptions = {}): Promise<TransactionSendResult> {
    if (this.#isClosed) throw new LifecycleError(`transaction producer ${this.group} is closed`);
    const { argument, ...sendOptions } = options;
    const transactionId = message.uniqueKey ?? this.#session.nextUniqueKey();
    const marks = { group: this.group, bornTimestamp: this.#session.clock.now() };
    const half = { ...message, uniqueKey: transactionId, [HALF]: marks };
    const sent = await this.#producer.send(half, sendOptions);
    // Held by one disk or one machine only: the message is taken back and the caller tries again.
    const local: { state: LocalTransactionState; error?: unknown } =
      sent.status === 'SEND_OK'
        ? await this.#execute(message, { transactionId, argument })
        : { state: 'ROLLBACK_MESSAGE' };
    const place = decodeOffsetMsgId(sent.offsetMsgId);
    const address = this.#session.routes.masterAddress(sent.queue.brokerName);
    const isTold =
      place !== undefined &&
      address !== undefined &&
      (await this.#tell(
        address,
        {
          topic: message.topic,
          transactionId,
          commitLogOffset: place.commitLogOffset,
          queueOffset: sent.queueOffset,
        },
        local.state,
        { isAsked: false, brokerName: sent.queue.brokerName },
      ));
    return {
      ...sent,
      transactionId,
      localTransactionState: local.state,
      outcome: isTold ? (local.state === 'COMMIT_MESSAGE' ? 'COMMITTED' : 'ROLLED_BACK') : 'UNKNOWN',
      ...(local.error !== undefined && { localError: local.error }),
    };
  }

  /** Takes the group out of the session and waits for the check that runs. Sends under way go on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#leave();
    await this.#producer.close();
    await this.#checking;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Brokers ask only producers that they know. Never rejects. */
  async #becomeKnown(topics: readonly string[]): Promise<void> {
    const { routes, heartbeat, logger } = this.#session;
    for (const topic of topics) {
      try {
        await routes.publishQueues(topic);
      } catch (thrown) {
        const reason = messageOf(thrown);
        logger.warn(
          { topic, group: this.group, reason },
          'the brokers of a topic cannot be told of a transaction producer',
        );
      }
    }
    await heartbeat.beatAll();
  }

  async #execute(
    message: Message,
    context: TransactionContext,
  ): Promise<{ state: LocalTransactionState; error?: unknown }> {
    try {
      return { state: await this.#listener.executeLocalTransaction(message, context) };
    } catch (error) {
      const { transactionId } = context;
      this.#session.logger.warn(
        { topic: message.topic, transactionId, reason: messageOf(error) },
        'a local transaction threw: its outcome is unknown until it is checked',
      );
      return { state: 'UNKNOW', error };
    }
  }

  #ask(record: StoredMessage, question: TransactionQuestion): void {
    if (this.#isClosed) return;
    if (this.#questionCount >= QUESTIONS_MAX) {
      const { topic } = record;
      this.#session.logger.warn({ topic, group: this.group }, 'too many transactions to check: the broker asks again');
      return;
    }
    this.#questionCount += 1;
    this.#checking = this.#checking
      .then(() => this.#check(record, question))
      .finally(() => {
        this.#questionCount -= 1;
      });
  }

  /** Never rejects. */
  async #check(record: StoredMessage, question: TransactionQuestion): Promise<void> {
    if (this.#isClosed) return;
    const { brokerName, commitLogOffset, queueOffset } = question;
    const message = receive(record, brokerName ?? '');
    const transactionId = record.properties[PROPERTY.UNIQ_KEY] ?? question.transactionId ?? message.msgId;
    let state: LocalTransactionState = 'UNKNOW';
    try {
      state = await this.#listener.checkLocalTransaction(message);
    } catch (thrown) {
      this.#session.logger.warn(
        { topic: record.topic, transactionId, reason: messageOf(thrown) },
        'checking a local transaction threw: the broker asks again',
      );
    }
    const known = brokerName === undefined ? undefined : this.#session.routes.masterAddress(brokerName);
    const place = { topic: record.topic, transactionId, commitLogOffset, queueOffset };
    await this.#tell(known ?? question.address, place, state, { isAsked: true, brokerName });
  }

  /** Whether the broker has noted it. */
  async #tell(
    address: string,
    half: HalfPlace,
    state: LocalTransactionState,
    { isAsked, brokerName }: { isAsked: boolean; brokerName: string | undefined },
  ): Promise<boolean> {
    if (state === 'UNKNOW') return false;
    try {
      await this.#session.brokerCalls.endTransaction(address, {
        topic: half.topic,
        producerGroup: this.group,
        tranStateTableOffset: half.queueOffset,
        commitLogOffset: half.commitLogOffset,
        commitOrRollback: state === 'COMMIT_MESSAGE' ? SYS_FLAG.TRANSACTION_COMMIT : SYS_FLAG.TRANSACTION_ROLLBACK,
        fromTransactionCheck: isAsked,
        msgId: half.transactionId,
        transactionId: half.transactionId,
        bname: brokerName,
      });
      return true;
    } catch (thrown) {
      this.#session.logger.warn(
        { topic: half.topic, transactionId: half.transactionId, state, reason: messageOf(thrown) },
        'the broker was not told of the end of a transaction, or refused it',
      );
      return false;
    }
  }
}
