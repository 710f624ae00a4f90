/**
 * The transactions of one broker: builds the parts and starts and stops them together. Half messages enter through
 * `messageIntake.ts`; from there on this is where they end (`transactionEnds.ts`), are noted (`opMessages.ts`,
 * `transactionProgress.ts`) and asked about (`checkBack.ts`). Upstream: `TransactionalMessageServiceImpl`.
 */
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/logger.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { MessageIntake } from '../messageIntake.js';
import type { Topics } from '../topics.js';
import { CheckBack } from './checkBack.js';
import { OpMessages } from './opMessages.js';
import { ProducerQuestions } from './producerQuestions.js';
import { TransactionEnds } from './transactionEnds.js';
import { TransactionProgress } from './transactionProgress.js';

/** Offsets of one op message are over the limit by at most so much; a record must hold them. */
const OFFSET_CHARS_MAX = 20;

export interface TransactionsParts {
  config: Pick<
    BrokerConfig,
    | 'transactionTimeOut'
    | 'transactionCheckMax'
    | 'transactionCheckInterval'
    | 'transactionOpMsgMaxSize'
    | 'transactionOpBatchInterval'
    | 'maxMessageSize'
    | 'fileReservedTime'
  >;
  store: MessageStore;
  intake: MessageIntake;
  offsets: ConsumerOffsets;
  topics: Topics;
  clients: ConnectedClients;
  identity: BrokerIdentity;
  clock: Clock;
  logger: Logger;
}

export class Transactions {
  /** Where END_TRANSACTION goes. */
  readonly ends: TransactionEnds;
  readonly #progress: TransactionProgress;
  readonly #ops: OpMessages;
  readonly #checkBack: CheckBack;

  constructor({ config, store, intake, offsets, topics, clients, identity, clock, logger }: TransactionsParts) {
    const progress = new TransactionProgress({ offsets, store });
    this.#progress = progress;
    this.#ops = new OpMessages({
      store,
      identity,
      clock,
      logger,
      maxSizeChars: Math.max(0, Math.min(config.transactionOpMsgMaxSize, config.maxMessageSize - OFFSET_CHARS_MAX)),
      batchIntervalMillis: config.transactionOpBatchInterval,
      onWritten: (opOffset, halfOffsets) => progress.opWritten(opOffset, halfOffsets),
    });
    this.ends = new TransactionEnds({ store, intake, ops: this.#ops, progress });
    this.#checkBack = new CheckBack({
      store,
      topics,
      ends: this.ends,
      progress,
      questions: new ProducerQuestions({ identity, clients, logger }),
      clock,
      logger,
      transactionTimeOutMillis: config.transactionTimeOut,
      transactionCheckMax: config.transactionCheckMax,
      transactionCheckIntervalMillis: config.transactionCheckInterval,
      fileReservedHours: config.fileReservedTime,
    });
  }

  /** Reads what an earlier run noted; before the first request. */
  load(): Promise<void> {
    return this.#progress.load();
  }

  start(): void {
    this.#checkBack.start();
  }

  /** Ends the check under way and notes what ended; the progress is saved by its table's owner. */
  async stop(): Promise<void> {
    await this.#checkBack.stop();
    await this.#ops.stop();
    this.#progress.record();
  }

  /** A half message became visible. */
  onArrival(): void {
    this.#checkBack.onArrival();
  }

  /** Does a message whose transaction has not ended wait for the topic? Undefined when too many wait to tell. */
  isWaitingFor(topic: string): boolean | undefined {
    return this.#checkBack.isWaitingFor(topic);
  }
}
