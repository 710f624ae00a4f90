/**
 * The JSON bodies of requests and responses as typed values. For each: `decodeX(body)`, which throws FRAME_INVALID
 * naming the member, and `encodeX(value)` in the dialect that upstream's peers expect. `readX(value, where)` reads the
 * same shape out of parsed JSON, for tables and for the broker's configuration files.
 *
 * Maps with data as keys are `Map`s; maps keyed by a queue are lists of pairs. Members that a client leaves out get
 * the default of upstream's class. Upstream: package `org.apache.rocketmq.remoting.protocol` (`heartbeat`, `route`,
 * `body`, `subscription`).
 */
import { deflateSync, inflateSync } from 'node:zlib';
import { FoldlogError, messageOf } from '../base/errors.js';
import { ByteReader } from './byteReader.js';
import type { ReadValue } from './jsonReader.js';
import { JsonReader, readNumber, readText, readWhole } from './jsonReader.js';
import type { JsonDialect } from './looseJson.js';
import { parseLooseJson, writeFastJson, writeLooseJson } from './looseJson.js';
import type { MessageQueue } from './message.js';

/** The body of a value whose maps have text keys, or of any value in the dialect that Apache's servers write. */
const bodyOf = (value: unknown, dialect: JsonDialect = 'fastjson'): Buffer =>
  Buffer.from(writeLooseJson(value, dialect));

export function readMessageQueue(value: unknown, where: string): MessageQueue {
  const from = new JsonReader(value, where);
  return { topic: from.text('topic'), brokerName: from.text('brokerName'), queueId: from.whole('queueId') };
}

/** Lists keyed by a queue become the Map that the writer turns into `{{…}:v}`. */
const queueMap = <V>(pairs: readonly (readonly [MessageQueue, V])[]) => new Map<MessageQueue, V>(pairs);

// ---- configuration ----

export interface DataVersion {
  stateVersion: number;
  timestamp: number;
  counter: number;
}

export function readDataVersion(value: unknown, where: string): DataVersion {
  const from = new JsonReader(value, where);
  return {
    stateVersion: from.whole('stateVersion', 0),
    timestamp: from.whole('timestamp', 0),
    counter: from.whole('counter', 0),
  };
}

export const decodeDataVersion = (body: Buffer): DataVersion =>
  readDataVersion(parseLooseJson(body.toString()), 'data version');
export const encodeDataVersion = (version: DataVersion): Buffer => bodyOf(version);

/** Equal in all three parts: the same version of the same table. */
export function isSameDataVersion(left: DataVersion, right: DataVersion): boolean {
  return (
    left.stateVersion === right.stateVersion && left.timestamp === right.timestamp && left.counter === right.counter
  );
}

export interface TopicConfig {
  topicName: string;
  readQueueNums: number;
  writeQueueNums: number;
  /** Bits of PERM (names.ts). */
  perm: number;
  topicFilterType: string;
  topicSysFlag: number;
  order: boolean;
  attributes: Record<string, string>;
}

/** Upstream's defaults of a topic: 16 queues, read and write. */
export function topicConfigOf(topicName: string, changes: Partial<TopicConfig> = {}): TopicConfig {
  return {
    topicName,
    readQueueNums: 16,
    writeQueueNums: 16,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: {},
    ...changes,
  };
}

export function readTopicConfig(value: unknown, where: string): TopicConfig {
  const from = new JsonReader(value, where);
  return {
    topicName: from.text('topicName'),
    readQueueNums: from.whole('readQueueNums', 16),
    writeQueueNums: from.whole('writeQueueNums', 16),
    perm: from.whole('perm', 6),
    topicFilterType: from.text('topicFilterType', 'SINGLE_TAG'),
    topicSysFlag: from.whole('topicSysFlag', 0),
    order: from.flag('order', false),
    attributes: Object.fromEntries(from.table('attributes', readText)),
  };
}

export const decodeTopicConfig = (body: Buffer): TopicConfig =>
  readTopicConfig(parseLooseJson(body.toString()), 'topic config');
export const encodeTopicConfig = (config: TopicConfig): Buffer => bodyOf(config);

export interface SubscriptionGroupConfig {
  groupName: string;
  consumeEnable: boolean;
  consumeFromMinEnable: boolean;
  consumeBroadcastEnable: boolean;
  consumeMessageOrderly: boolean;
  retryQueueNums: number;
  retryMaxTimes: number;
  groupRetryPolicy: unknown;
  brokerId: number;
  whichBrokerWhenConsumeSlowly: number;
  notifyConsumerIdsChangedEnable: boolean;
  groupSysFlag: number;
  consumeTimeoutMinute: number;
  attributes: Record<string, string>;
}

/** A group with upstream's defaults and the given changes. */
export function subscriptionGroupConfigOf(
  groupName: string,
  changes: Partial<SubscriptionGroupConfig> = {},
): SubscriptionGroupConfig {
  return {
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    consumeMessageOrderly: false,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    groupRetryPolicy: { type: 'CUSTOMIZED' },
    brokerId: 0,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
    groupSysFlag: 0,
    consumeTimeoutMinute: 15,
    attributes: {},
    ...changes,
  };
}

/** foldlog does not act on it but keeps it: what could not be written to the configuration file is refused here. */
function readAsItIs(value: unknown): unknown {
  writeLooseJson(value, 'fastjson');
  return value;
}

export function readSubscriptionGroupConfig(value: unknown, where: string): SubscriptionGroupConfig {
  const from = new JsonReader(value, where);
  const defaults = subscriptionGroupConfigOf(from.text('groupName'));
  return {
    groupName: defaults.groupName,
    consumeEnable: from.flag('consumeEnable', defaults.consumeEnable),
    consumeFromMinEnable: from.flag('consumeFromMinEnable', defaults.consumeFromMinEnable),
    consumeBroadcastEnable: from.flag('consumeBroadcastEnable', defaults.consumeBroadcastEnable),
    consumeMessageOrderly: from.flag('consumeMessageOrderly', defaults.consumeMessageOrderly),
    retryQueueNums: from.whole('retryQueueNums', defaults.retryQueueNums),
    retryMaxTimes: from.whole('retryMaxTimes', defaults.retryMaxTimes),
    groupRetryPolicy: from.read('groupRetryPolicy', readAsItIs, defaults.groupRetryPolicy),
    brokerId: from.whole('brokerId', defaults.brokerId),
    whichBrokerWhenConsumeSlowly: from.whole('whichBrokerWhenConsumeSlowly', defaults.whichBrokerWhenConsumeSlowly),
    notifyConsumerIdsChangedEnable: from.flag(
      'notifyConsumerIdsChangedEnable',
      defaults.notifyConsumerIdsChangedEnable,
    ),
    groupSysFlag: from.whole('groupSysFlag', defaults.groupSysFlag),
    consumeTimeoutMinute: from.whole('consumeTimeoutMinute', defaults.consumeTimeoutMinute),
    attributes: Object.fromEntries(from.table('attributes', readText)),
  };
}

export const decodeSubscriptionGroupConfig = (body: Buffer): SubscriptionGroupConfig =>
  readSubscriptionGroupConfig(parseLooseJson(body.toString()), 'subscription group config');
export const encodeSubscriptionGroupConfig = (config: SubscriptionGroupConfig): Buffer => bodyOf(config);

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST 225. */
export const decodeSubscriptionGroupList = (body: Buffer): SubscriptionGroupConfig[] =>
  JsonReader.ofBody(body, 'group list').list('groupConfigList', readSubscriptionGroupConfig);
export const encodeSubscriptionGroupList = (groupConfigList: readonly SubscriptionGroupConfig[]): Buffer =>
  bodyOf({ groupConfigList });

/** UPDATE_AND_CREATE_TOPIC_LIST 18. */
export const decodeTopicConfigList = (body: Buffer): TopicConfig[] =>
  JsonReader.ofBody(body, 'topic list').list('topicConfigList', readTopicConfig);
export const encodeTopicConfigList = (topicConfigList: readonly TopicConfig[]): Buffer => bodyOf({ topicConfigList });

/** The body of GET_ALL_TOPIC_CONFIG and the heart of a registration. */
export interface TopicConfigTable {
  dataVersion: DataVersion;
  topicConfigTable: Map<string, TopicConfig>;
}

const NO_VERSION: DataVersion = { stateVersion: 0, timestamp: 0, counter: 0 };

export function readTopicConfigTable(value: unknown, where: string): TopicConfigTable {
  const from = new JsonReader(value, where);
  return {
    dataVersion: from.read('dataVersion', readDataVersion, NO_VERSION),
    topicConfigTable: from.table('topicConfigTable', readTopicConfig),
  };
}

// The two mapping tables belong to static topics; upstream's readers expect them to be there.
const withMappings = (table: TopicConfigTable) => ({
  ...table,
  mappingDataVersion: table.dataVersion,
  topicQueueMappingDetailMap: {},
  topicQueueMappingInfoMap: {},
});

export const decodeTopicConfigTable = (body: Buffer): TopicConfigTable =>
  readTopicConfigTable(parseLooseJson(body.toString()), 'topic config table');
export const encodeTopicConfigTable = (table: TopicConfigTable): Buffer => bodyOf(withMappings(table));

/** The body of GET_ALL_SUBSCRIPTIONGROUP_CONFIG. */
export interface SubscriptionGroupTable {
  dataVersion: DataVersion;
  subscriptionGroupTable: Map<string, SubscriptionGroupConfig>;
  /** Group to topic to a mask of what is forbidden. Default: nothing. */
  forbiddenTable?: Map<string, Map<string, number>>;
}

export const readForbiddenTopics: ReadValue<Map<string, number>> = (value, where) =>
  new JsonReader({ topics: value }, where).table('topics', readWhole);

export function decodeSubscriptionGroupTable(body: Buffer): SubscriptionGroupTable {
  const from = JsonReader.ofBody(body, 'subscription group table');
  return {
    dataVersion: from.read('dataVersion', readDataVersion, NO_VERSION),
    subscriptionGroupTable: from.table('subscriptionGroupTable', readSubscriptionGroupConfig),
    forbiddenTable: from.table('forbiddenTable', readForbiddenTopics),
  };
}
export const encodeSubscriptionGroupTable = (table: SubscriptionGroupTable): Buffer =>
  bodyOf({ ...table, forbiddenTable: table.forbiddenTable ?? {} });

// ---- heartbeat ----

export type ConsumeType = 'CONSUME_PASSIVELY' | 'CONSUME_ACTIVELY';
export type MessageModelName = 'CLUSTERING' | 'BROADCASTING';

export interface SubscriptionData {
  topic: string;
  /** `*`, `A || B`, or SQL text. */
  subString: string;
  tagsSet: string[];
  /** Java hash of each tag. */
  codeSet: number[];
  subVersion: number;
  /** TAG or SQL92. */
  expressionType: string;
  classFilterMode: boolean;
}

export function readSubscriptionData(value: unknown, where: string): SubscriptionData {
  const from = new JsonReader(value, where);
  return {
    topic: from.text('topic'),
    subString: from.text('subString', '*'),
    tagsSet: from.list('tagsSet', readText),
    codeSet: from.list('codeSet', readWhole),
    subVersion: from.whole('subVersion', 0),
    expressionType: from.text('expressionType', 'TAG'),
    classFilterMode: from.flag('classFilterMode', false),
  };
}

export interface ProducerData {
  groupName: string;
}

export interface ConsumerData {
  groupName: string;
  /** Names other than {@link ConsumeType} are kept. */
  consumeType: string;
  messageModel: string;
  consumeFromWhere: string;
  subscriptionDataSet: SubscriptionData[];
  unitMode: boolean;
}

function readConsumerData(value: unknown, where: string): ConsumerData {
  const from = new JsonReader(value, where);
  return {
    groupName: from.text('groupName', ''),
    consumeType: from.text('consumeType', 'CONSUME_PASSIVELY'),
    messageModel: from.text('messageModel', 'CLUSTERING'),
    consumeFromWhere: from.text('consumeFromWhere', 'CONSUME_FROM_LAST_OFFSET'),
    subscriptionDataSet: from.list('subscriptionDataSet', readSubscriptionData),
    unitMode: from.flag('unitMode', false),
  };
}

/** HEART_BEAT 34. */
export interface HeartbeatData {
  clientID: string;
  producerDataSet: ProducerData[];
  /** A group that is missing is an empty name: the broker skips it. */
  consumerDataSet: ConsumerData[];
  heartbeatFingerprint: number;
  withoutSub: boolean;
}

export function decodeHeartbeatData(body: Buffer): HeartbeatData {
  const from = JsonReader.ofBody(body, 'heartbeat');
  return {
    clientID: from.text('clientID'),
    producerDataSet: from.list('producerDataSet', (value, where) => ({
      groupName: new JsonReader(value, where).text('groupName', ''),
    })),
    consumerDataSet: from.list('consumerDataSet', readConsumerData),
    heartbeatFingerprint: from.whole('heartbeatFingerprint', 0),
    withoutSub: from.flag('withoutSub', false),
  };
}
export const encodeHeartbeatData = (heartbeat: HeartbeatData): Buffer => bodyOf(heartbeat, 'standard');

/** CHECK_CLIENT_CONFIG 46. */
export interface CheckClientBody {
  clientId: string;
  group: string;
  subscriptionData: SubscriptionData;
}

export function decodeCheckClientBody(body: Buffer): CheckClientBody {
  const from = JsonReader.ofBody(body, 'client config');
  return {
    clientId: from.text('clientId', ''),
    group: from.text('group', ''),
    subscriptionData: from.read('subscriptionData', readSubscriptionData),
  };
}
export const encodeCheckClientBody = (value: CheckClientBody): Buffer => bodyOf(value, 'standard');

/** Answer of GET_CONSUMER_LIST_BY_GROUP 38. */
export interface ConsumerList {
  consumerIdList: string[];
}

export const decodeConsumerList = (body: Buffer): ConsumerList => ({
  consumerIdList: JsonReader.ofBody(body, 'consumer list').list('consumerIdList', readText),
});
export const encodeConsumerList = (list: ConsumerList): Buffer => bodyOf(list);

// ---- queues: locks and offsets ----

/** LOCK_BATCH_MQ 41 and UNLOCK_BATCH_MQ 42. */
export interface LockBatchBody {
  consumerGroup: string;
  clientId: string;
  mqSet: MessageQueue[];
  onlyThisBroker: boolean;
}

export function decodeLockBatchBody(body: Buffer): LockBatchBody {
  const from = JsonReader.ofBody(body, 'lock request');
  return {
    consumerGroup: from.text('consumerGroup'),
    clientId: from.text('clientId'),
    mqSet: from.list('mqSet', readMessageQueue),
    onlyThisBroker: from.flag('onlyThisBroker', false),
  };
}
export const encodeLockBatchBody = (value: LockBatchBody): Buffer => bodyOf(value, 'standard');

/** Answer of LOCK_BATCH_MQ 41. */
export interface LockBatchResponseBody {
  lockOKMQSet: MessageQueue[];
}

export const decodeLockBatchResponseBody = (body: Buffer): LockBatchResponseBody => ({
  lockOKMQSet: JsonReader.ofBody(body, 'lock response').list('lockOKMQSet', readMessageQueue),
});
export const encodeLockBatchResponseBody = (value: LockBatchResponseBody): Buffer => bodyOf(value);

/** Body of 220 and answer of 222: the offset that each queue was set to. */
export interface ResetOffsetBody {
  offsetTable: [MessageQueue, number][];
}

export const decodeResetOffsetBody = (body: Buffer): ResetOffsetBody => ({
  offsetTable: JsonReader.ofBody(body, 'offset table').pairs('offsetTable', readMessageQueue, readWhole),
});
export const encodeResetOffsetBody = ({ offsetTable }: ResetOffsetBody): Buffer =>
  bodyOf({ offsetTable: queueMap(offsetTable) });

/** The same for clients in C++, which read a list. Upstream: `ResetOffsetBodyForC`. */
export const encodeResetOffsetBodyForCpp = ({ offsetTable }: ResetOffsetBody): Buffer =>
  bodyOf({ offsetTable: offsetTable.map(([queue, offset]) => ({ ...queue, offset })) });

/** Answer of GET_CONSUMER_STATUS_FROM_CLIENT 221. */
export interface ConsumerStatusBody {
  messageQueueTable: [MessageQueue, number][];
}

export const decodeConsumerStatusBody = (body: Buffer): ConsumerStatusBody => ({
  messageQueueTable: JsonReader.ofBody(body, 'consumer status').pairs('messageQueueTable', readMessageQueue, readWhole),
});
export const encodeConsumerStatusBody = ({ messageQueueTable }: ConsumerStatusBody): Buffer =>
  bodyOf({ messageQueueTable: queueMap(messageQueueTable) });

/** Answer of INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223: what each client answered to 221. */
export interface ConsumerStatusesBody {
  consumerTable: Map<string, [MessageQueue, number][]>;
}

export const decodeConsumerStatusesBody = (body: Buffer): ConsumerStatusesBody => ({
  consumerTable: JsonReader.ofBody(body, 'consumer statuses').table('consumerTable', (offsets, where) =>
    new JsonReader({ offsets }, where).pairs('offsets', readMessageQueue, readWhole),
  ),
});
export const encodeConsumerStatusesBody = ({ consumerTable }: ConsumerStatusesBody): Buffer =>
  bodyOf({
    consumerTable: new Map([...consumerTable].map(([clientId, offsets]) => [clientId, queueMap(offsets)])),
    messageQueueTable: {},
  });

export interface TopicOffset {
  minOffset: number;
  maxOffset: number;
  lastUpdateTimestamp: number;
}

/** Answer of GET_TOPIC_STATS_INFO 202. */
export interface TopicStatsBody {
  offsetTable: [MessageQueue, TopicOffset][];
  topicPutTps: number;
}

export function decodeTopicStatsBody(body: Buffer): TopicStatsBody {
  const from = JsonReader.ofBody(body, 'topic stats');
  return {
    offsetTable: from.pairs('offsetTable', readMessageQueue, (value, where) => {
      const offset = new JsonReader(value, where);
      return {
        minOffset: offset.whole('minOffset', 0),
        maxOffset: offset.whole('maxOffset', 0),
        lastUpdateTimestamp: offset.whole('lastUpdateTimestamp', 0),
      };
    }),
    topicPutTps: from.read('topicPutTps', readNumber, 0),
  };
}
export const encodeTopicStatsBody = ({ offsetTable, topicPutTps }: TopicStatsBody): Buffer =>
  bodyOf({ offsetTable: queueMap(offsetTable), topicPutTps });

export interface ConsumeOffset {
  brokerOffset: number;
  consumerOffset: number;
  pullOffset: number;
  lastTimestamp: number;
}

/** Answer of GET_CONSUME_STATS 208. */
export interface ConsumeStatsBody {
  offsetTable: [MessageQueue, ConsumeOffset][];
  consumeTps: number;
}

export const decodeConsumeStatsBody = (body: Buffer): ConsumeStatsBody =>
  readConsumeStats(parseLooseJson(body.toString()), 'consume stats');

function readConsumeStats(value: unknown, where: string): ConsumeStatsBody {
  const from = new JsonReader(value, where);
  return {
    offsetTable: from.pairs('offsetTable', readMessageQueue, (value, where) => {
      const offset = new JsonReader(value, where);
      return {
        brokerOffset: offset.whole('brokerOffset', 0),
        consumerOffset: offset.whole('consumerOffset', 0),
        pullOffset: offset.whole('pullOffset', 0),
        lastTimestamp: offset.whole('lastTimestamp', 0),
      };
    }),
    consumeTps: from.read('consumeTps', readNumber, 0),
  };
}
export const encodeConsumeStatsBody = ({ offsetTable, consumeTps }: ConsumeStatsBody): Buffer =>
  bodyOf({ offsetTable: queueMap(offsetTable), consumeTps });

/** Answer of GET_BROKER_CONSUME_STATS 317: of each group the progress in each of its topics. */
export interface BrokerConsumeStats {
  brokerAddr: string;
  statsOfGroups: [group: string, ConsumeStatsBody[]][];
}

/** Each item of the list is a map from one group to its topics' statistics. */
export function decodeBrokerConsumeStats(body: Buffer): BrokerConsumeStats {
  const from = JsonReader.ofBody(body, 'consume stats of a broker');
  const statsOfGroups = from.list('consumeStatsList', (value, where) => [
    ...new JsonReader({ groups: value }, where).table('groups', (stats, place) =>
      new JsonReader({ stats }, place).list('stats', readConsumeStats),
    ),
  ]);
  return { brokerAddr: from.text('brokerAddr', ''), statsOfGroups: statsOfGroups.flat() };
}

export function encodeBrokerConsumeStats({ brokerAddr, statsOfGroups }: BrokerConsumeStats): Buffer {
  let totalDiff = 0;
  let totalInflightDiff = 0;
  const consumeStatsList = statsOfGroups.map(([group, stats]) => {
    const bodies = stats.map(({ offsetTable, consumeTps }) => {
      for (const [, { brokerOffset, consumerOffset, pullOffset }] of offsetTable) {
        totalDiff += brokerOffset - consumerOffset;
        totalInflightDiff += pullOffset - consumerOffset;
      }
      return { consumeTps, offsetTable: queueMap(offsetTable) };
    });
    return new Map([[group, bodies]]);
  });
  return bodyOf({ brokerAddr, consumeStatsList, totalDiff, totalInflightDiff });
}

// ---- routes and the name server ----

export interface QueueData {
  brokerName: string;
  readQueueNums: number;
  writeQueueNums: number;
  perm: number;
  topicSysFlag: number;
}

export interface BrokerData {
  cluster: string;
  brokerName: string;
  /** Broker id to `host:port`; 0 is the master. */
  brokerAddrs: Map<number, string>;
  enableActingMaster: boolean;
  zoneName?: string | undefined;
}

/** Answer of GET_ROUTEINFO_BY_TOPIC 105, body of REGISTER_TOPIC_IN_NAMESRV 217. */
export interface TopicRouteData {
  /** `broker-a:4;broker-b:4` */
  orderTopicConf?: string | undefined;
  queueDatas: QueueData[];
  brokerDatas: BrokerData[];
  filterServerTable: Map<string, string[]>;
}

function readQueueData(value: unknown, where: string): QueueData {
  const from = new JsonReader(value, where);
  return {
    brokerName: from.text('brokerName'),
    readQueueNums: from.whole('readQueueNums', 0),
    writeQueueNums: from.whole('writeQueueNums', 0),
    perm: from.whole('perm', 0),
    topicSysFlag: from.whole('topicSysFlag', 0),
  };
}

function readBrokerData(value: unknown, where: string): BrokerData {
  const from = new JsonReader(value, where);
  return {
    cluster: from.text('cluster', ''),
    brokerName: from.text('brokerName'),
    brokerAddrs: from.numberTable('brokerAddrs', readText),
    enableActingMaster: from.flag('enableActingMaster', false),
    zoneName: from.optionalText('zoneName'),
  };
}

const readTexts: ReadValue<string[]> = (value, where) =>
  new JsonReader({ items: value }, where).list('items', readText);

export function decodeTopicRouteData(body: Buffer): TopicRouteData {
  const from = JsonReader.ofBody(body, 'route');
  return {
    orderTopicConf: from.optionalText('orderTopicConf'),
    queueDatas: from.list('queueDatas', readQueueData),
    brokerDatas: from.list('brokerDatas', readBrokerData),
    filterServerTable: from.table('filterServerTable', readTexts),
  };
}

/** 'standard' for requesters that can read it (version 401 on, or acceptStandardJsonOnly), else 'fastjson'. */
export const encodeTopicRouteData = (route: TopicRouteData, dialect: JsonDialect): Buffer => bodyOf(route, dialect);

/** Answer of GET_BROKER_CLUSTER_INFO 106. */
export interface ClusterInfo {
  brokerAddrTable: Map<string, BrokerData>;
  /** Cluster to broker names. */
  clusterAddrTable: Map<string, string[]>;
}

export function decodeClusterInfo(body: Buffer): ClusterInfo {
  const from = JsonReader.ofBody(body, 'cluster info');
  return {
    brokerAddrTable: from.table('brokerAddrTable', readBrokerData),
    clusterAddrTable: from.table('clusterAddrTable', readTexts),
  };
}
/** Always with unquoted broker ids, whatever the requester's version. */
export const encodeClusterInfo = (cluster: ClusterInfo): Buffer => bodyOf(cluster);

/** Answer of GET_BROKER_MEMBER_GROUP 901. */
export interface BrokerMemberGroup {
  cluster: string;
  brokerName: string;
  brokerAddrs: Map<number, string>;
}

export const encodeBrokerMemberGroup = (brokerMemberGroup: BrokerMemberGroup): Buffer => bodyOf({ brokerMemberGroup });
export const decodeBrokerMemberGroup = (body: Buffer): BrokerMemberGroup =>
  JsonReader.ofBody(body, 'broker member group').read('brokerMemberGroup', (value, where) => {
    const { cluster, brokerName, brokerAddrs } = readBrokerData(value, where);
    return { cluster, brokerName, brokerAddrs };
  });

/** Answer of 206, 224, 304 and 305. */
export interface TopicList {
  topicList: string[];
  brokerAddr?: string | undefined;
}

export function decodeTopicList(body: Buffer): TopicList {
  const from = JsonReader.ofBody(body, 'topic list');
  return { topicList: from.list('topicList', readText), brokerAddr: from.optionalText('brokerAddr') };
}
export const encodeTopicList = (list: TopicList): Buffer => bodyOf(list);

/** Answer of GET_KVLIST_BY_NAMESPACE 219, GET_BROKER_RUNTIME_INFO 28 and of a registration. */
export interface KVTable {
  table: Map<string, string>;
}

export const decodeKVTable = (body: Buffer): KVTable => ({
  table: JsonReader.ofBody(body, 'table').table('table', readText),
});
export const encodeKVTable = (table: KVTable): Buffer => bodyOf(table);

/** REGISTER_BROKER 103. */
export interface RegisterBrokerBody extends TopicConfigTable {
  filterServerList: string[];
}

export function encodeRegisterBrokerBody({ filterServerList, ...table }: RegisterBrokerBody): Buffer {
  return bodyOf({ filterServerList, topicConfigSerializeWrapper: withMappings(table) }, 'standard');
}

/** Longest that a compressed registration may be when inflated. */
const REGISTRATION_MAX_BYTES = 64 * 1024 * 1024;

/** An absent body is an empty registration. */
export function decodeRegisterBrokerBody(body: Buffer, options: { compressed: boolean }): RegisterBrokerBody {
  if (body.length === 0) return { dataVersion: NO_VERSION, topicConfigTable: new Map(), filterServerList: [] };
  if (options.compressed) return decodeCompressedRegistration(body);
  const from = JsonReader.ofBody(body, 'registration');
  const table = from.read('topicConfigSerializeWrapper', readTopicConfigTable, {
    dataVersion: NO_VERSION,
    topicConfigTable: new Map(),
  });
  return { ...table, filterServerList: from.list('filterServerList', readText) };
}

/**
 * zlib stream of: int32 n, data version JSON; int32 topics, each int32 n and
 * `name readQueueNums writeQueueNums perm topicFilterType [attributes JSON]`; int32 n, filter server list JSON.
 * What follows (static topics) is not read. Upstream: `RegisterBrokerBody.encode`, `TopicConfig.encode`.
 */
function decodeCompressedRegistration(body: Buffer): RegisterBrokerBody {
  let plain: Buffer;
  try {
    plain = inflateSync(body, { maxOutputLength: REGISTRATION_MAX_BYTES });
  } catch (thrown) {
    throw new FoldlogError('FRAME_INVALID', `compressed registration does not inflate: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
  const reader = new ByteReader(plain, 'compressed registration');
  const textOf = (part: string) => reader.text(reader.int32(`length of ${part}`), part);
  const dataVersion = readDataVersion(parseLooseJson(textOf('data version')), 'data version');
  const topicConfigTable = new Map<string, TopicConfig>();
  for (let left = reader.int32('number of topics'); left > 0; left -= 1) {
    const config = topicConfigFromText(textOf('topic'));
    topicConfigTable.set(config.topicName, config);
  }
  const filterServerList = readTexts(parseLooseJson(textOf('filter servers')), 'filter servers');
  return { dataVersion, topicConfigTable, filterServerList };
}

/** The same form, for a name server that is told that it comes: the flags `order` and `topicSysFlag` are not in it. */
export function encodeCompressedRegistration(registration: RegisterBrokerBody): Buffer {
  const { dataVersion, topicConfigTable, filterServerList } = registration;
  const parts = [textPart(writeFastJson(dataVersion)), countPart(topicConfigTable.size)];
  for (const topic of topicConfigTable.values()) parts.push(textPart(topicConfigText(topic)));
  // A broker from 5.0 on ends with its static topics: none.
  parts.push(textPart(writeFastJson(filterServerList)), countPart(0));
  return deflateSync(Buffer.concat(parts), { level: 9 });
}

function topicConfigText(topic: TopicConfig): string {
  const { topicName, readQueueNums, writeQueueNums, perm, topicFilterType, attributes } = topic;
  return [topicName, readQueueNums, writeQueueNums, perm, topicFilterType, writeFastJson(attributes)].join(' ');
}

function textPart(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([countPart(bytes.length), bytes]);
}

function countPart(count: number): Buffer {
  const part = Buffer.alloc(4);
  part.writeInt32BE(count);
  return part;
}

function topicConfigFromText(text: string): TopicConfig {
  const [topicName = '', read, write, perm, topicFilterType = 'SINGLE_TAG', ...rest] = text.split(' ');
  const where = `topic ${topicName}`;
  const attributes = rest.length > 0 ? parseLooseJson(rest.join(' ')) : {};
  return topicConfigOf(topicName, {
    readQueueNums: readWhole(read, `${where}.readQueueNums`),
    writeQueueNums: readWhole(write, `${where}.writeQueueNums`),
    perm: readWhole(perm, `${where}.perm`),
    topicFilterType,
    attributes: Object.fromEntries(new JsonReader({ attributes }, where).table('attributes', readText)),
  });
}
