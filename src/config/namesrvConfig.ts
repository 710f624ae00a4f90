/**
 * The name server's configuration: RocketMQ's namesrv.conf as typed values, one row per key. Upstream: `NamesrvConfig`,
 * `NamesrvStartup`.
 */
import { accepted, type ConfigOf, defaultsOf, flag, text, whole } from './configRows.js';
import { type ConfigFile, checkValues, readConfig } from './readConfig.js';

export const NAMESRV_TABLE = {
  listenPort: whole(9876, 'TCP port; 0 means any free port', { max: 65_535 }),
  // Differs from RocketMQ (0.0.0.0): a server without authentication does not listen to the network unasked.
  bindAddress: text('127.0.0.1', 'address that the server listens on', {
    allowed: 'a host name or an IP address',
    test: (value) => /^[A-Za-z0-9._:%-]+$/.test(value),
  }),
  // Differ from RocketMQ (<user home>/namesrv/...): two name servers of one user do not share files.
  kvConfigPath: text('', 'file of the KV configuration; kvConfig.json in the home directory unless set'),
  configStorePath: text('', 'file of the changed configuration; namesrv.properties in the home directory unless set'),
  orderMessageEnable: flag(false, 'add the order configuration of a topic to its route'),
  returnOrderTopicConfigToBroker: flag(true, 'answer a registration with the order configuration'),
  scanNotActiveBrokerInterval: whole(5000, 'how often silent brokers are looked for, ms', { min: 1 }),
  supportActingMaster: flag(false, 'present the lowest slave as master where the master is gone'),
  enableAllTopicList: flag(true, 'answer the list of all topics'),
  enableTopicList: flag(true, 'answer the lists of unit topics'),
  notifyMinBrokerIdChanged: flag(false, 'tell the members of a broker group when its lowest id changes'),
  needWaitForService: flag(false, 'answer no routes for some time after the start'),
  waitSecondsForService: whole(45, 'how long, s'),
  deleteTopicWithBrokerRegistration: flag(false, 'remove topics that a full registration no longer names'),
  configBlackList: text(
    'configBlackList;configStorePath;kvConfigPath',
    'keys that UPDATE_NAMESRV_CONFIG refuses, separated by ;',
  ),
  serverChannelMaxIdleTimeSeconds: whole(120, 'silence after which a connection is closed, s', { min: 1 }),
  writeBufferHighWaterMark: whole(0, 'unsent bytes over which a connection is not read from; 0 means 8 MiB'),
  // foldlog's own.
  maxConnections: whole(10_000, 'connections that the server holds; more are closed at once', { min: 1 }),
  maxFrameBytes: whole(16_777_216, 'largest frame, bytes; a longer one closes the connection', { min: 65_536 }),
  maxUnsentBytes: whole(67_108_864, 'unsent bytes of a connection; over it the connection is cut off', { min: 65_536 }),
  maxBufferedBytes: whole(
    268_435_456,
    'bytes that all connections keep, unsent or half received; over it the one that keeps most is cut off',
    { min: 65_536 },
  ),

  ...accepted('one event loop does the work of the thread pools', {
    clientRequestThreadPoolNums: 8,
    defaultThreadPoolNums: 16,
    serverWorkerThreads: 8,
    serverCallbackExecutorThreads: 0,
    serverSelectorThreads: 3,
    serverOnewaySemaphoreValue: 256,
    serverAsyncSemaphoreValue: 64,
    serverSocketBacklog: 1024,
    serverSocketSndBufSize: 0,
    serverSocketRcvBufSize: 0,
    serverPooledByteBufAllocatorEnable: true,
    useEpollNativeSelector: false,
    writeBufferLowWaterMark: 0,
  }),
  ...accepted('every request is answered at once: none waits in a queue', {
    clientRequestThreadPoolQueueCapacity: 50_000,
    defaultThreadPoolQueueCapacity: 10_000,
    unRegisterBrokerQueueCapacity: 3000,
  }),
  ...accepted('this version does not have what it sets', {
    rocketmqHome: '',
    clusterTest: false,
    productEnvName: 'center',
    enableControllerInNamesrv: false,
  }),
} as const;

export type NamesrvConfig = ConfigOf<typeof NAMESRV_TABLE>;

export interface NamesrvConfigReading {
  config: NamesrvConfig;
  /** One line each, for the log. */
  warnings: string[];
}

/** The defaults with `overrides`, checked like a file. Without `kvConfigPath` the KV configuration is not kept. */
export function defaultNamesrvConfig(overrides: Partial<NamesrvConfig> = {}): NamesrvConfig {
  checkValues(NAMESRV_TABLE, overrides);
  return { ...defaultsOf(NAMESRV_TABLE), ...overrides };
}

/**
 * Reads a namesrv.conf; `overrides` (command line flags) win over it. Files that the configuration does not place lie
 * in `home`. Throws OptionsError naming file and line.
 */
export function readNamesrvConfig(
  source: ConfigFile | undefined,
  overrides: Partial<NamesrvConfig> = {},
  home?: string,
): NamesrvConfigReading {
  const { config, warnings } = readConfig(NAMESRV_TABLE, source);
  checkValues(NAMESRV_TABLE, overrides);
  const all = { ...config, ...overrides };
  if (home !== undefined) {
    if (all.kvConfigPath === '') all.kvConfigPath = `${home}/kvConfig.json`;
    if (all.configStorePath === '') all.configStorePath = `${home}/namesrv.properties`;
  }
  return { config: all, warnings };
}
