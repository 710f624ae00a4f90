/** The face of `foldlog`: the application, decorators, event store, projections, idempotency. */
export type { Clock, Timer } from './base/clock.js';
export { systemClock } from './base/clock.js';
export {
  BrokerError,
  CorruptionError,
  ERROR_CODES,
  type ErrorCode,
  ExpectedVersionError,
  FoldlogError,
  InvariantError,
  isFoldlogError,
  LifecycleError,
  OptionsError,
  RemotingError,
} from './base/errors.js';
export type { QueueOffset, StreamVersion, TimestampMillis } from './base/flavours.js';
export { type Logger, silentLogger } from './base/logger.js';
export {
  ConsumeFromWhere,
  type ConsumeMode,
  type Message,
  MessageModel,
  type ReceivedMessage,
  type SendResult,
} from './client/clientTypes.js';
export { Producer, type Reply, type SendOptions } from './client/producer.js';
export type { AppDatabase } from './database/appDatabase.js';
export { PostgresDatabase, type PostgresDatabaseOptions } from './database/postgresDatabase.js';
export type { PostgresParameter } from './database/postgresValues.js';
export { SqliteDatabase, type SqliteDatabaseOptions } from './database/sqliteDatabase.js';
export { Aggregate, Apply } from './decorators/aggregate.js';
export { Consumer } from './decorators/consumer.js';
export { Event, Filterable } from './decorators/event.js';
export { type SqlFilter, sql } from './decorators/filter.js';
export type {
  ConsumerOptions,
  HandlerClass,
  IdempotentOptions,
  OnOptions,
  ReplayBehaviour,
} from './decorators/handlerMetadata.js';
export { Idempotent, On } from './decorators/on.js';
export { Projection, type ProjectionOptions } from './decorators/projection.js';
export { Upcast } from './decorators/upcast.js';
export {
  type AggregateClass,
  type AggregateOptions,
  AggregateRoot,
  type ApplyOptions,
} from './eventstore/aggregate.js';
export { AggregateStore } from './eventstore/aggregateStore.js';
export {
  type Decider,
  type DeciderSnapshotOptions,
  DeciderStore,
  type DeciderStreamOptions,
  decider,
} from './eventstore/decider.js';
export { type EventFields, event } from './eventstore/event.js';
export type { EventOptions } from './eventstore/eventClass.js';
export { causedBy } from './eventstore/eventContext.js';
export { EventStore } from './eventstore/eventStore.js';
export { EventSubscription } from './eventstore/eventSubscription.js';
export type {
  AppendCondition,
  AppendOptions,
  AppendResult,
  ConditionalAppendOptions,
  ConditionalAppendResult,
  EventClass,
  EventKeyName,
  EventMetadata,
  EventPosition,
  EventSelection,
  EventToAppend,
  ExpectedVersion,
  ReadAllOptions,
  ReadKeysOptions,
  ReadOptions,
  ReadStreamOptions,
  RecordedEvent,
  StreamEvent,
  StreamName,
  SubscribeOptions,
  UnknownTypesChoice,
} from './eventstore/eventTypes.js';
export { RawEvent } from './eventstore/rawEvent.js';
export type { SnapshotOptions } from './eventstore/snapshots/snapshotOptions.js';
export type { ExecuteOptions, ExecuteResult, LoadOptions } from './eventstore/streamExecution.js';
export type { ViewBounds } from './eventstore/streamViews.js';
export type { UnknownEventType } from './eventstore/unknownTypes.js';
export type { UpcastOptions } from './eventstore/upcasters.js';
export type { DuplicateCopy, DuplicateKey, DuplicatesOfGroup } from './idempotency/duplicatesMet.js';
export {
  type GuardInTransactionOptions,
  type GuardInTransactionOutcome,
  guardInTransaction,
  type PgTransactionClient,
} from './idempotency/guardInTransaction.js';
export type { GuardedOutcome } from './idempotency/idempotencyGuard.js';
export type { ProjectionContext } from './projections/projection.js';
export type { ReplayContext, ReplayProgress, ReplayReport } from './replay/replay.js';
export type { AppReplayOptions, ConsumerReplay, EventReplay, ProjectionReplay } from './runtime/appReplay.js';
export { EffectGuard, type GuardRunOptions } from './runtime/effectGuard.js';
export { Foldlog } from './runtime/foldlog.js';
export type { FoldlogOptions, GuardOptions } from './runtime/foldlogOptions.js';
export type { GroupLag } from './runtime/groupLag.js';
export type { MessageContext } from './runtime/messageContext.js';
export type { ProjectionHandle, WaitOptions } from './runtime/projectionHandle.js';
