/**
 * One broker: builds its parts, starts them in order, stops them in reverse. It has no behaviour of its own and no part
 * knows it.
 *
 * Start: store, tables, services, server, name servers. Stop: name servers, held pulls, server, services, tables,
 * store. Upstream: `BrokerController`.
 */
import { randomInt } from 'node:crypto';
import { totalmem } from 'node:os';
import type { Clock } from '../base/clock.js';
import { systemClock } from '../base/clock.js';
import type { Files } from '../base/files.js';
import { diskFiles, joinPath } from '../base/files.js';
import { CloseStack } from '../base/lifecycle.js';
import type { Logger } from '../base/logger.js';
import { silentLogger } from '../base/logger.js';
import type { BrokerConfig } from '../config/brokerConfig.js';
import type { HostAddress } from '../protocol/message.js';
import { UniqKeyGenerator } from '../protocol/messageId.js';
import { packHost } from '../protocol/messageRecord.js';
import { LMQ_PREFIX, SCHEDULE_TOPIC, TIMER_TOPIC, TRANS_HALF_TOPIC } from '../protocol/names.js';
import { ProcessorTable } from '../remoting/processorTable.js';
import { RemotingClient } from '../remoting/remotingClient.js';
import { RemotingServer } from '../remoting/remotingServer.js';
import type { Transport } from '../remoting/transport.js';
import { MessageStore } from '../store/messageStore.js';
import { BrokerIdentity } from './brokerIdentity.js';
import { BrokerSettings } from './brokerSettings.js';
import { BrokerStats } from './brokerStats.js';
import { ConnectedClients } from './connectedClients.js';
import { ConsumerFilters } from './consumerFilters.js';
import { ConsumerOffsets, consumerOffsetFile } from './consumerOffsets.js';
import { DelayedDelivery } from './delay/delayedDelivery.js';
import { DelayLevels } from './delay/delayLevels.js';
import { TimerRules } from './delay/timerRules.js';
import { Timers } from './delay/timers.js';
import { EventTopics } from './eventTopics.js';
import { HeldReads } from './heldReads.js';
import { LongPolling } from './longPolling.js';
import { MessageIntake } from './messageIntake.js';
import { PersistedTable } from './persistedTable.js';
import type { BrokerParts } from './processors/table.js';
import { brokerLanes, brokerRows } from './processors/table.js';
import { QueueLocks } from './queueLocks.js';
import { Registration } from './registration.js';
import { StoreReport } from './storeReport.js';
import { SubscriptionGroups } from './subscriptionGroups.js';
import { Topics } from './topics.js';
import { Traffic } from './traffic.js';
import { Transactions } from './transactions/transactions.js';

export interface BrokerOptions {
  config: BrokerConfig;
  /** The file that it was read from; changes of the running broker's configuration are written there. Default: none. */
  configFile?: string;
  /** How the broker reaches its name servers. Default: TCP. One that is given is not closed. */
  transport?: Transport;
  /** Open a TCP port. Default true; without, the broker is reached through its table. */
  listen?: boolean;
  /** Fail the start when no name server of the configuration can be reached. Default true. */
  requireNameServer?: boolean;
  clock?: Clock;
  logger?: Logger;
  files?: Files;
}

/** Where a broker that does not listen says that it is. */
const DEFAULT_PORT = 10911;
/** How often silent clients and expired locks are looked for, and changed filters saved. */
const SCAN_PERIOD_MILLIS = 10_000;

/** What the outside needs of a running broker. */
interface Opened {
  table: ProcessorTable;
  address: HostAddress;
}

export class Broker {
  /** What answers requests; for callers in the same process. */
  readonly table: ProcessorTable;
  /** What is announced to clients. */
  readonly address: HostAddress;
  readonly #closes: CloseStack;
  #stopping: Promise<void> | undefined;

  private constructor({ table, address }: Opened, closes: CloseStack) {
    this.table = table;
    this.address = address;
    this.#closes = closes;
  }

  /**
   * Resolves when the broker answers requests and at least one name server, where some are configured, has it.
   * Throws STORE_LOCKED, CORRUPTION, PORT_TAKEN, CONNECT_FAILED or OPTIONS_INVALID; what was opened is closed again.
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    const closes = new CloseStack();
    try {
      return new Broker(await open(options, closes), closes);
    } catch (thrown) {
      // The first error is the one that tells; what fails on the way out follows from it.
      await closes.closeAll().catch(() => {});
      throw thrown;
    }
  }

  /** Takes the broker out of the name servers, answers what is under way, saves everything and closes the store. */
  stop(): Promise<void> {
    this.#stopping ??= this.#closes.closeAll();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function open(options: BrokerOptions, closes: CloseStack): Promise<Opened> {
  const { listen = true, clock = systemClock, logger = silentLogger, files = diskFiles } = options;
  // A copy: what the broker is told to change while it runs stays its own.
  const config = { ...options.config };
  const settings = new BrokerSettings({ config, configFile: options.configFile, files, logger });
  const identity = new BrokerIdentity({
    clusterName: config.brokerClusterName,
    brokerName: config.brokerName,
    host: config.brokerIP1,
  });
  const levels = new DelayLevels(config.messageDelayLevel);
  const late: { eventTopics?: EventTopics } = {};
  // Until the topics are known, all of them are kept.
  const keepsTopic = (topic: string) => late.eventTopics?.keeps(topic) ?? true;
  const store = await openStore(config, identity, levels, keepsTopic, { clock, logger, files });
  closes.push(() => store.close());

  const transport = options.transport ?? new RemotingClient({ clock, logger });
  if (!options.transport) closes.push(() => transport.close());
  const { parts, registration, transactions, timed } = buildParts(config, {
    identity,
    levels,
    store,
    settings,
    transport,
    clock,
    logger,
    files,
  });
  const { offsets, delayed, clients, filters, queueLocks, longPolling, putTraffic, putSizeTraffic, stats } = parts;
  const { heldReads } = parts;
  closes.push(() => parts.topics.saved());
  late.eventTopics = parts.eventTopics;
  const report = new StoreReport({ store, eventTopics: parts.eventTopics, logger });
  closes.push(() => report.stop());
  report.start();
  // Twice: what changed while a save was under way is in the second.
  closes.push(async () => {
    for (const table of [offsets, delayed, filters]) {
      await table.flush();
      await table.flush();
    }
  });
  const timers = [
    clock.every(config.flushConsumerOffsetInterval, () => void offsets.flush()),
    clock.every(config.flushDelayOffsetInterval, () => void delayed.flush()),
    clock.every(SCAN_PERIOD_MILLIS, () => {
      void filters.flush();
      clients.removeExpired();
      queueLocks.removeExpired();
    }),
  ];
  closes.push(() => timers.forEach((timer) => timer.cancel()));
  closes.push(() => delayed.stop());
  closes.push(() => timed.stop());
  timed.open();
  closes.push(() => transactions.stop());
  const forget = store.onArrival(({ topic, queueId, tagsCode, sizeBytes, storeTimestamp }) => {
    // A message counts once, however many light queues it is in.
    if (!topic.startsWith(LMQ_PREFIX)) {
      putTraffic.count(storeTimestamp);
      putSizeTraffic.count(storeTimestamp, sizeBytes);
      stats.put(topic, sizeBytes);
    }
    if (topic === SCHEDULE_TOPIC) delayed.onArrival(queueId);
    if (topic === TIMER_TOPIC) timed.onArrival();
    if (topic === TRANS_HALF_TOPIC) transactions.onArrival();
    longPolling.onArrival(topic, queueId, tagsCode);
    heldReads.onArrival(topic);
  });
  closes.push(forget);

  await transactions.load();
  const table = new ProcessorTable({ rows: brokerRows(parts), lanes: brokerLanes(config), logger });
  identity.listensOn(listen ? await listenOn(table, options, closes) : config.listenPort || DEFAULT_PORT);
  // What is under way is answered before the connections close.
  closes.push(async () => {
    longPolling.close();
    heldReads.close();
    await store.syncLog().catch(() => {});
  });
  delayed.start();
  timed.start();
  transactions.start();
  closes.push(() => registration.stop());
  await registration.start({ isRequired: options.requireNameServer ?? true });
  return { table, address: identity.address };
}

/** The port that was opened. */
async function listenOn(table: ProcessorTable, options: BrokerOptions, closes: CloseStack): Promise<number> {
  const { config, clock = systemClock, logger = silentLogger } = options;
  const server = await RemotingServer.listen({
    port: config.listenPort,
    host: config.bindAddress,
    table,
    maxConnections: config.maxConnections,
    maxFrameBytes: config.maxFrameBytes,
    writeBufferHighWaterMark: config.writeBufferHighWaterMark,
    maxUnsentBytes: config.maxUnsentBytes,
    maxBufferedBytes: config.maxBufferedBytes,
    maxRequestsPerConnection: config.maxRequestsPerConnection,
    idleMillis: config.serverChannelMaxIdleTimeSeconds * 1000,
    clock,
    logger,
  });
  closes.push(() => server.close());
  return server.address.port;
}

interface Surroundings {
  clock: Clock;
  logger: Logger;
  files: Files;
}

function openStore(
  config: BrokerConfig,
  identity: BrokerIdentity,
  levels: DelayLevels,
  keepsTopic: (topic: string) => boolean,
  surroundings: Surroundings,
): Promise<MessageStore> {
  return MessageStore.open({
    directory: config.storePathRootDir,
    storeHost: packHost({ host: identity.host, port: config.listenPort || DEFAULT_PORT }),
    flushDiskType: config.flushDiskType,
    mappedFileSizeCommitLog: config.mappedFileSizeCommitLog,
    mappedFileSizeConsumeQueue: config.mappedFileSizeConsumeQueue,
    maxHashSlotNum: config.maxHashSlotNum,
    maxIndexNum: config.maxIndexNum,
    indexCacheBytes: config.indexCacheBytes,
    maxMessageSize: config.maxMessageSize,
    syncFlushTimeoutMillis: config.syncFlushTimeout,
    flushIntervalCommitLogMillis: config.flushIntervalCommitLog,
    delayLevels: levels.millis,
    multiDispatch: config.enableLmq && config.enableMultiDispatch,
    keepsTopic,
    retention: {
      fileReservedTimeHours: config.fileReservedTime,
      deleteWhen: config.deleteWhen,
      diskMaxUsedSpaceRatio: config.diskMaxUsedSpaceRatio,
      cleanFileForciblyEnable: config.cleanFileForciblyEnable,
      diskSpaceCleanForciblyRatio: config.diskSpaceCleanForciblyRatio,
      diskSpaceWarningLevelRatio: config.diskSpaceWarningLevelRatio,
      cleanResourceIntervalMillis: config.cleanResourceInterval,
      deleteCommitLogFilesIntervalMillis: config.deleteCommitLogFilesInterval,
      deleteFileBatchMax: config.deleteFileBatchMax,
    },
    ...surroundings,
  });
}

interface Foundation extends Surroundings {
  identity: BrokerIdentity;
  levels: DelayLevels;
  store: MessageStore;
  settings: BrokerSettings;
  transport: Transport;
}

/** The parts and who uses whom. Where two would need each other, the later one is reached through a callback. */
function buildParts(config: BrokerConfig, foundation: Foundation) {
  const { identity, levels, store, settings, transport, clock, logger, files } = foundation;
  const tableOf = (name: string) =>
    new PersistedTable({ file: joinPath(config.storePathRootDir, 'config', name), files, logger });
  const late: { registration?: Registration } = {};
  const topics = new Topics({
    config,
    delayLevelCount: levels.max,
    table: tableOf('topics.json'),
    clock,
    logger,
    announce: (changed) => late.registration?.announce(changed) ?? Promise.resolve(),
  });
  const registration = new Registration({
    identity,
    nameServers: config.namesrvAddr
      .split(';')
      .map((address) => address.trim())
      .filter((address) => address !== ''),
    transport,
    topics,
    config,
    clock,
    logger,
  });
  late.registration = registration;
  const groups = new SubscriptionGroups({
    config,
    table: tableOf('subscriptionGroup.json'),
    clock,
    logger,
  });
  const offsets = new ConsumerOffsets({
    table: tableOf(consumerOffsetFile(config.enableLmq)),
    store,
    clock,
    logger,
    versionStep: config.consumerOffsetUpdateVersionStep,
    enableLmq: config.enableLmq,
  });
  const eventTopics: EventTopics = new EventTopics({
    topics,
    store,
    config,
    isDelayedFor: (topic) =>
      anyOf(delayed.isWaitingFor(topic), timed.isWaitingFor(topic), transactions.isWaitingFor(topic)),
  });
  const { rejectTransactionMessage } = config;
  const timerRules = new TimerRules({ config, clock, countAt: (time) => timed.countAt(time) });
  const intake = new MessageIntake({ store, eventTopics, delayLevels: levels, timerRules, rejectTransactionMessage });
  const timed: Timers = new Timers({ config, store, intake, files, clock, logger });
  const delayed = new DelayedDelivery({
    store,
    intake,
    levels,
    table: tableOf('delayOffset.json'),
    clock,
    logger,
    versionStep: config.delayOffsetUpdateVersionStep,
  });
  const filters = new ConsumerFilters({
    table: tableOf('consumerFilter.json'),
    store,
    clock,
    logger,
    cleanTimeSpanMillis: config.filterDataCleanTimeSpan,
  });
  const clients = new ConnectedClients({
    clock,
    logger,
    isNotified: (group) =>
      config.notifyConsumerIdsChangedEnable && (groups.get(group)?.notifyConsumerIdsChangedEnable ?? true),
    channelExpiredMillis: config.channelExpiredTimeout,
    onSubscribed: (group, subscriptions) => filters.subscribed(group, subscriptions),
    onGroupLeft: (group) => filters.left(group),
  });
  const transactions = new Transactions({
    config,
    store,
    intake,
    offsets,
    topics,
    clients,
    identity,
    clock,
    logger,
  });
  const putTraffic = new Traffic();
  const getTraffic = new Traffic();
  const foundTraffic = new Traffic();
  const missTraffic = new Traffic();
  const stats = new BrokerStats({ clusterName: identity.clusterName, clock, logger });
  const parts: BrokerParts = {
    identity,
    topics,
    groups,
    offsets,
    clients,
    filters,
    eventTopics,
    delayed,
    intake,
    timed,
    transactionEnds: transactions.ends,
    registration,
    store,
    config,
    clock,
    logger,
    files,
    levels,
    settings,
    stats,
    putTraffic,
    putSizeTraffic: new Traffic(),
    getTraffic,
    foundTraffic,
    missTraffic,
    queueLocks: new QueueLocks({ clock }),
    longPolling: new LongPolling({
      clock,
      maxHeldPulls: config.maxHeldPulls,
      maxHeldPullBytes: config.maxHeldPullBytes,
    }),
    heldReads: new HeldReads({
      clock,
      maxHeldReads: config.maxHeldPulls,
      maxHeldReadBytes: config.maxHeldPullBytes,
      isEventTopic: (topic) => eventTopics.keeps(topic),
    }),
    uniqKeys: new UniqKeyGenerator({ clock, host: identity.host, processId: process.pid }),
    defaultQueryMaxNum: config.defaultQueryMaxNum,
    recentBytes: (totalmem() * config.accessMessageInMemoryMaxRatio) / 100,
    randomBelow: (end) => (end > 1 ? randomInt(end) : 0),
    now: () => clock.now(),
    onServed: (served) => {
      getTraffic.count(clock.now(), served.count);
      foundTraffic.count(clock.now());
      stats.served(served);
    },
    onMissed: () => missTraffic.count(clock.now()),
  };
  return { parts, registration, transactions, timed };
}

/** True when one says so, undefined when none does and one cannot tell. */
function anyOf(...answers: (boolean | undefined)[]): boolean | undefined {
  return answers.includes(true) || (answers.includes(undefined) ? undefined : false);
}
