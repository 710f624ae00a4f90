/** The face of `foldlog/client`: producers, consumers and administration, written against the protocol alone. */

export type { Clock, Timer } from '../base/clock.js';
export { systemClock } from '../base/clock.js';
export {
  BrokerError,
  type ErrorCode,
  FoldlogError,
  isFoldlogError,
  LifecycleError,
  OptionsError,
  RemotingError,
} from '../base/errors.js';
export type { Logger } from '../base/logger.js';
export type { MessageQueue, StoredMessage } from '../protocol/message.js';
export type { MessageProperties } from '../protocol/messageProperties.js';
export type { Transport } from '../remoting/transport.js';
export { Admin, type AdminTarget, type QueryOptions } from './admin.js';
export {
  type ConsumeContext,
  ConsumeFromWhere,
  type ConsumeMode,
  type ConsumeOutcome,
  type Message,
  type MessageListener,
  MessageModel,
  type OffsetStore,
  type PushConsumerOptions,
  type ReceivedMessage,
  type SendResult,
  type SendStatus,
  type SessionOptions,
  type Subscription,
} from './clientTypes.js';
export { Producer, type ProducerOptions, type Reply, type SendOptions } from './producer.js';
export { PullConsumer, type PullConsumerOptions, type PullFilter, type PullResult } from './pullConsumer.js';
export { PushConsumer } from './pushConsumer.js';
export { Session } from './session.js';
export {
  LocalTransactionState,
  type TransactionContext,
  type TransactionListener,
  TransactionProducer,
  type TransactionProducerOptions,
  type TransactionSendOptions,
  type TransactionSendResult,
} from './transactionProducer.js';
