/**
 * The keys of broker.conf that take effect, and those that are checked so that nobody believes in what is not done.
 * Names, units and defaults are RocketMQ's (`BrokerConfig`, `MessageStoreConfig`, `NettyServerConfig`) except where the
 * comment at a row says otherwise. Keys that mean nothing here stand in `brokerAcceptedKeys.ts`.
 */
import { choice, flag, text, unavailable, whole } from './configRows.js';
import { DELAY_LEVELS_MAX, parseDelayLevels } from './delayLevels.js';

const isHost = (value: string): boolean => /^[A-Za-z0-9._:%-]+$/.test(value);
const host = { allowed: 'a host name or an IP address', test: isHost };
const name = { allowed: 'a name without blanks', test: (value: string) => /^\S{1,127}$/.test(value) };
const percent = { max: 100 };
const hours = {
  allowed: 'hours from 00 to 23, separated by ;',
  test: (value: string) => value.split(';').every((hour) => /^\s*(|[01]?\d|2[0-3])\s*$/.test(hour)),
};
const addresses = {
  allowed: 'addresses HOST:PORT, separated by ;',
  test: (value: string) => value === '' || value.split(';').every((one) => /^\s*\S+:\d{1,5}\s*$/.test(one)),
};

export const BROKER_KEYS = {
  // Who it is, and where it is reached.
  brokerClusterName: text('DefaultCluster', 'name of the cluster', name),
  // Differs from RocketMQ, whose default is the host name: a store directory that moves keeps its broker's name.
  brokerName: text('broker-a', 'name of the broker group: one master and its slaves', name),
  brokerId: whole(0, '0 is the master; masters are always 0'),
  brokerRole: choice(
    ['ASYNC_MASTER', 'SYNC_MASTER', 'SLAVE'],
    'ASYNC_MASTER',
    'role in its broker group; both kinds of master behave alike without slaves',
    (value) =>
      value === 'SLAVE' ? 'replication is not available in this version: use ASYNC_MASTER or SYNC_MASTER' : undefined,
  ),
  namesrvAddr: text('', 'name servers, HOST:PORT separated by ;', addresses),
  listenPort: whole(10911, 'TCP port; 0 means any free port', { max: 65_535 }),
  // Differs from RocketMQ (0.0.0.0): a broker without authentication does not listen to the network unasked.
  bindAddress: text('127.0.0.1', 'address that the server listens on', host),
  brokerIP1: text('127.0.0.1', 'address that is announced to clients; the bind address unless set', host),
  brokerIP2: text('127.0.0.1', 'address that is announced for replication; brokerIP1 unless set', host),
  brokerPermission: whole(6, 'permission bits of the whole broker: 4 read, 2 write', { max: 7 }),

  // The store.
  storePathRootDir: text('./foldlog-data', 'root directory of the store'),
  storeType: choice(['default'], 'default', 'kind of store'),
  flushDiskType: choice(
    ['ASYNC_FLUSH', 'SYNC_FLUSH'],
    'ASYNC_FLUSH',
    'answer when the message is in the page cache, or when it is on the disk',
  ),
  flushIntervalCommitLog: whole(500, 'how often written bytes are synced under ASYNC_FLUSH, ms', { min: 1 }),
  syncFlushTimeout: whole(5000, 'how long a send waits for its sync before FLUSH_DISK_TIMEOUT, ms', { min: 1 }),
  mappedFileSizeCommitLog: whole(1_073_741_824, 'size of a commit log file, bytes', { min: 4096 }),
  mappedFileSizeConsumeQueue: whole(6_000_000, 'size of a consume queue file, bytes, rounded up to a multiple of 20', {
    min: 20,
  }),
  maxHashSlotNum: whole(5_000_000, 'hash slots of an index file', { min: 1 }),
  maxIndexNum: whole(20_000_000, 'entries of an index file', { min: 2 }),
  indexCacheBytes: whole(67_108_864, 'bytes of the index that are kept in memory once they were read'),
  maxMessageSize: whole(4_194_304, 'largest message body, bytes', { min: 1, max: 16_000_000 }),
  enableLmq: flag(false, 'give messages offsets in the %LMQ% queues that they name; with enableMultiDispatch'),
  enableMultiDispatch: flag(false, 'put messages into the %LMQ% queues that they name; with enableLmq'),
  messageDelayLevel: text(
    '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h',
    'delay of each level from 1 on',
    {
      allowed: `up to ${DELAY_LEVELS_MAX} delays such as "1s 5s 1m 2h 1d"`,
      test: (value) => parseDelayLevels(value) !== undefined,
    },
  ),

  // Retention, and what a full disk leads to. The ratios are percent of the disk in use, each met when usage is above it.
  fileReservedTime: whole(72, 'hours after which a commit log file that nothing was written to expires'),
  deleteWhen: text('04', 'local hours at which expired files are removed, separated by ; (empty: at none)', hours),
  cleanResourceInterval: whole(10_000, 'how often files and disk are looked at, ms', { min: 1 }),
  deleteCommitLogFilesInterval: whole(100, 'pause between two removals, ms'),
  deleteFileBatchMax: whole(10, 'commit log files that one look removes at most', { min: 1 }),
  diskMaxUsedSpaceRatio: whole(75, 'usage above which expired files are removed at any hour, within 10 to 95', percent),
  cleanFileForciblyEnable: flag(true, 'remove files before they expire when the disk is nearly full'),
  diskSpaceCleanForciblyRatio: whole(
    85,
    'usage above which that is done, and down to which refused writes wait, within 30 to 85',
    percent,
  ),
  diskSpaceWarningLevelRatio: whole(90, 'usage above which writes are refused, within 35 to 90', percent),

  // Messages that ask for a delivery time.
  timerWheelEnable: flag(true, 'deliver messages at the time that they ask for; otherwise they are refused'),
  timerMaxDelaySec: whole(259_200, 'how far ahead a delivery time may lie, s', { min: 1 }),
  timerPrecisionMs: whole(1000, 'how late a message may come, ms', { min: 1, max: 1000 }),
  timerRollWindowSlot: whole(
    172_800,
    'times the precision: messages further ahead are stored again on the way; at most two thirds of fileReservedTime',
    { min: 2 },
  ),
  timerCongestNumEachSlot: whole(2_147_483_647, 'messages that wait for one time; more are refused'),
  timerFlushIntervalMs: whole(1000, 'how often the files of the timer are saved while they change, ms', { min: 1 }),
  mappedFileSizeTimerLog: whole(104_857_600, 'size of a timer log file, bytes', { min: 1024 }),
  recallMessageEnable: flag(false, 'let producers recall messages that wait for their time'),
  appendTopicForTimerDeleteKey: flag(false, 'recall by topic and unique key instead of the key alone'),

  // Topics, groups and reading.
  autoCreateTopicEnable: flag(true, 'create a topic when the first message for it arrives'),
  autoCreateSubscriptionGroup: flag(true, 'create a consumer group when its first member appears'),
  defaultTopicQueueNums: whole(8, 'queues of a topic that is created unasked', { min: 1, max: 65_535 }),
  clusterTopicEnable: flag(true, 'keep a topic named after the cluster'),
  brokerTopicEnable: flag(true, 'keep a topic named after the broker'),
  // Differs from RocketMQ (false): filtering by SQL92 is part of what foldlog offers.
  enablePropertyFilter: flag(true, 'let consumers filter by SQL92'),
  filterSupportRetry: flag(false, 'filter redelivered messages too'),
  filterDataCleanTimeSpan: whole(86_400_000, 'how long the expressions of a group that is gone are kept, ms', {
    min: 1,
  }),
  longPollingEnable: flag(true, 'hold a pull that finds nothing until a message arrives'),
  shortPollingTimeMills: whole(1000, 'how long a pull is held when long polling is off, ms', { min: 1 }),
  litePullMessageEnable: flag(true, 'answer LITE_PULL_MESSAGE'),
  storeReplyMessageEnable: flag(true, 'store replies to requests beside handing them to the requester'),
  rejectPullConsumerEnable: flag(false, 'refuse pulls of clients that are not push consumers'),
  rejectTransactionMessage: flag(false, 'refuse half messages'),
  transactionTimeOut: whole(6000, 'age at which a producer is first asked about a half message, ms', { min: 1 }),
  transactionCheckMax: whole(15, 'how often it is asked before its message is given up', { min: 1 }),
  transactionCheckInterval: whole(30_000, 'how often half messages are checked, ms', { min: 1 }),
  transactionOpMsgMaxSize: whole(4096, 'length at which the note of ended transactions is written, characters', {
    min: 1,
    max: 1_000_000,
  }),
  transactionOpBatchInterval: whole(3000, 'how long ended transactions wait to be noted together, ms', { min: 1 }),
  notifyConsumerIdsChangedEnable: flag(true, 'tell the members of a group when it changes'),
  useServerSideResetOffset: flag(true, 'let the broker hand the new offset to consumers when offsets are reset'),
  defaultQueryMaxNum: whole(32, 'largest number of messages of a query by unique key', { min: 1, max: 64 }),
  maxTransferBytesOnMessageInMemory: whole(262_144, 'bytes of one pull answer, recent messages', { min: 1 }),
  maxTransferCountOnMessageInMemory: whole(32, 'messages of one pull answer, recent messages', { min: 1 }),
  maxTransferBytesOnMessageInDisk: whole(65_536, 'bytes of one pull answer, old messages', { min: 1 }),
  maxTransferCountOnMessageInDisk: whole(8, 'messages of one pull answer, old messages', { min: 1 }),
  accessMessageInMemoryMaxRatio: whole(40, 'share of the memory that counts as recent, percent', { max: 100 }),
  traceOn: flag(true, 'tell producers that messages may be traced'),
  traceTopicEnable: flag(false, 'keep the topic for message traces'),
  msgTraceTopicName: text('RMQ_SYS_TRACE_TOPIC', 'topic of message traces', name),
  regionId: text('DefaultRegion', 'region that send responses name', name),

  // Periods.
  flushConsumerOffsetInterval: whole(5000, 'how often consumer offsets are saved, ms', { min: 1 }),
  flushDelayOffsetInterval: whole(10_000, 'how often the progress of delay levels is saved, ms', { min: 1 }),
  consumerOffsetUpdateVersionStep: whole(500, 'commits after which the version of the offset table rises', { min: 1 }),
  delayOffsetUpdateVersionStep: whole(200, 'updates after which the version of the delay table rises', { min: 1 }),
  registerNameServerPeriod: whole(30_000, 'how often the broker registers, ms, kept within 10,000 to 60,000'),
  registerBrokerTimeoutMills: whole(24_000, 'how long a registration waits for its answer, ms', { min: 1 }),
  forceRegister: flag(true, 'register in full each time, without asking for changes first'),
  compressedRegister: flag(false, 'deflate the registration'),
  enableSingleTopicRegister: flag(false, 'tell name servers of changed topics one by one, each for itself'),
  channelExpiredTimeout: whole(120_000, 'silence after which a client counts as gone, ms', { min: 1 }),
  serverChannelMaxIdleTimeSeconds: whole(120, 'silence after which a connection is closed, s', { min: 1 }),

  writeBufferHighWaterMark: whole(0, 'unsent bytes over which a connection is not read from; 0 means 8 MiB'),

  // Bounds: requests of a kind that may be under way. Over it the answer is SYSTEM_BUSY at once.
  sendThreadPoolQueueCapacity: whole(10_000, 'sends under way', { min: 1 }),
  pullThreadPoolQueueCapacity: whole(100_000, 'pulls under way, held ones included', { min: 1 }),
  litePullThreadPoolQueueCapacity: whole(100_000, 'lite pulls under way, held ones included', { min: 1 }),
  replyThreadPoolQueueCapacity: whole(10_000, 'replies that wait for their requester', { min: 1 }),
  queryThreadPoolQueueCapacity: whole(20_000, 'queries under way', { min: 1 }),
  clientManagerThreadPoolQueueCapacity: whole(1_000_000, 'client requests under way', { min: 1 }),
  consumerManagerThreadPoolQueueCapacity: whole(1_000_000, 'offset requests under way', { min: 1 }),
  heartbeatThreadPoolQueueCapacity: whole(50_000, 'heartbeats under way', { min: 1 }),
  adminBrokerThreadPoolQueueCapacity: whole(10_000, 'administrative requests under way', { min: 1 }),
  loadBalanceThreadPoolQueueCapacity: whole(100_000, 'assignment requests under way', { min: 1 }),
  // foldlog's own.
  maxConnections: whole(10_000, 'connections that the server holds; more are closed at once', { min: 1 }),
  maxFrameBytes: whole(16_777_216, 'largest frame, bytes; a longer one closes the connection', { min: 65_536 }),
  maxUnsentBytes: whole(67_108_864, 'unsent bytes of a connection; over it the connection is cut off', { min: 65_536 }),
  maxBufferedBytes: whole(
    268_435_456,
    'bytes that all connections keep, unsent or half received; over it the one that keeps most is cut off',
    { min: 65_536 },
  ),
  maxRequestsPerConnection: whole(
    16_384,
    'requests of a connection under way, held pulls included; one more is answered SYSTEM_BUSY',
    { min: 1 },
  ),
  maxHeldPulls: whole(50_000, 'pulls held by long polling; more are answered at once', { min: 1 }),
  maxHeldPullBytes: whole(67_108_864, 'bytes of the pulls held by long polling; more are answered at once', { min: 1 }),

  configBlackList: text('configBlackList;brokerConfigPath', 'keys that UPDATE_BROKER_CONFIG refuses, separated by ;'),

  // Promises that this version does not keep: only their harmless value is taken.
  authenticationEnabled: unavailable(
    'check who a client is',
    'authentication is not available in this version, and everybody would be let in',
  ),
  authorizationEnabled: unavailable(
    'check what a client may do',
    'authorization is not available in this version, and everything would be allowed',
  ),
  aclEnable: unavailable('access control of 4.x', 'access control is not available in this version'),
  enableDLegerCommitLog: unavailable('replicated log', 'the DLedger commit log has another format on disk'),
  enableControllerMode: unavailable('elected masters', 'the controller mode is not available in this version'),
} as const;
