/**
 * The commands of `mqadmin` that this version has, with RocketMQ's names and flags, and the names of those that it does
 * not have, so that they are told from a typing error. Upstream: `MQAdminStartup`.
 */
import type { CommandRow, OptionRow } from './command.js';

const namesrv: OptionRow = {
  flags: '-n, --namesrvAddr <addresses>',
  meaning: 'name servers, HOST:PORT separated by ; (default: NAMESRV_ADDR)',
};
const topic: OptionRow = { flags: '-t, --topic <topic>', meaning: 'topic', required: true };
const cluster: OptionRow = { flags: '-c, --clusterName <cluster>', meaning: 'all masters of this cluster' };
const broker: OptionRow = { flags: '-b, --brokerAddr <address>', meaning: 'this broker' };

export const ADMIN_COMMANDS: readonly CommandRow[] = [
  {
    name: 'updateTopic',
    summary: 'create a topic or change it',
    options: [
      namesrv,
      topic,
      broker,
      cluster,
      { flags: '-r, --readQueueNums <count>', meaning: 'queues to read (default: 8)' },
      { flags: '-w, --writeQueueNums <count>', meaning: 'queues to write (default: 8)' },
      { flags: '-p, --perm <bits>', meaning: '2 write, 4 read, 6 both (default: 6)' },
      { flags: '-o, --order <flag>', meaning: 'true: note the order configuration of the topic' },
      { flags: '-a, --attributes <list>', meaning: '+key=value,+key=value' },
    ],
    load: () => import('./admin/updateTopic.js'),
  },
  {
    name: 'deleteTopic',
    summary: 'delete a topic from a cluster and from the name servers',
    options: [namesrv, topic, { ...cluster, required: true }],
    load: () => import('./admin/deleteTopic.js'),
  },
  {
    name: 'topicList',
    summary: 'list the topics of all brokers',
    options: [namesrv],
    load: () => import('./admin/topicList.js'),
  },
  {
    name: 'topicRoute',
    summary: 'show where a topic is',
    options: [namesrv, topic, { flags: '-l, --list', meaning: 'as a table' }],
    load: () => import('./admin/topicRoute.js'),
  },
  {
    name: 'clusterList',
    summary: 'list clusters and their brokers',
    options: [namesrv, { ...cluster, meaning: 'this cluster only' }],
    load: () => import('./admin/clusterList.js'),
  },
  {
    name: 'queryMsgByKey',
    summary: 'find the messages that carry a key',
    options: [
      namesrv,
      topic,
      { flags: '-k, --msgKey <key>', meaning: 'key', required: true },
      { flags: '-b, --beginTimestamp <millis>', meaning: 'stored at or after (default: 0)' },
      { flags: '-e, --endTimestamp <millis>', meaning: 'stored at or before (default: no bound)' },
      { flags: '-m, --maxNum <count>', meaning: 'at most (default: 64)' },
    ],
    load: () => import('./admin/queryMsgByKey.js'),
  },
  {
    name: 'queryMsgById',
    summary: 'show a message by its offset id or its unique key',
    options: [namesrv, topic, { flags: '-i, --msgId <id>', meaning: 'message id', required: true }],
    load: () => import('./admin/queryMsgById.js'),
  },
  {
    name: 'sendMessage',
    summary: 'send a message',
    options: [
      namesrv,
      topic,
      { flags: '-p, --body <text>', meaning: 'body, UTF-8', required: true },
      { flags: '-k, --key <keys>', meaning: 'keys, separated by blanks' },
      { flags: '-c, --tags <tag>', meaning: 'tag' },
      { flags: '-b, --broker <name>', meaning: 'to this broker' },
      { flags: '-i, --qid <queue>', meaning: 'to this queue of the broker' },
    ],
    load: () => import('./admin/sendMessage.js'),
  },
  {
    name: 'consumerProgress',
    summary: 'show how far a consumer group is behind',
    options: [
      namesrv,
      { flags: '-g, --groupName <group>', meaning: 'consumer group', required: true },
      { ...topic, flags: '-t, --topicName <topic>', meaning: 'this topic only', required: false },
      { ...cluster, meaning: 'brokers of this cluster only' },
    ],
    load: () => import('./admin/consumerProgress.js'),
  },
  {
    name: 'updateKvConfig',
    summary: 'set a value in the configuration of the name servers',
    options: [
      namesrv,
      { flags: '-s, --namespace <namespace>', meaning: 'namespace', required: true },
      { flags: '-k, --key <key>', meaning: 'key', required: true },
      { flags: '-v, --value <value>', meaning: 'value', required: true },
    ],
    load: () => import('./admin/updateKvConfig.js'),
  },
  {
    name: 'deleteKvConfig',
    summary: 'remove a value from the configuration of the name servers',
    options: [
      namesrv,
      { flags: '-s, --namespace <namespace>', meaning: 'namespace', required: true },
      { flags: '-k, --key <key>', meaning: 'key', required: true },
    ],
    load: () => import('./admin/deleteKvConfig.js'),
  },
];

/** Commands of RocketMQ's mqadmin that this version does not have. */
export const ABSENT_ADMIN_COMMANDS: ReadonlySet<string> = new Set(
  `addBroker addWritePerm allocateMQ brokerConsumeStats brokerStatus checkMsgSendRT checkRocksdbCqWriteProgress
  cleanBrokerMetadata cleanExpiredCQ cleanUnusedTopic cloneGroupOffset clusterRT consumeMessage consumerConnection
  consumerStatus copyAcl copyUser createAcl createUser deleteAcl deleteExpiredCommitLog deleteSubGroup deleteUser
  dumpCompactionLog electMaster exportConfigs exportMetadata exportMetadataInRocksDB exportMetrics exportPopRecord
  getAcl getBrokerConfig getBrokerEpoch getBrokerLiteInfo getColdDataFlowCtrInfo getConsumerConfig getControllerConfig
  getControllerMetaData getLiteClientInfo getLiteGroupInfo getLiteTopicInfo getNamesrvConfig getParentTopicInfo
  getSyncStateSet getUser haStatus listAcl listUser printMsg printMsgByQueue producer producerConnection queryCq
  queryMsgByOffset queryMsgByUniqueKey queryMsgTraceById remappingStaticTopic removeBroker removeColdDataFlowCtrGroupConfig
  resetMasterFlushOffset resetOffsetByTime rocksDBConfigToJson sendMsgStatus setCommitLogReadAheadMode setConsumeMode
  skipAccumulatedMessage startMonitoring statsAll switchTimerEngine topicClusterList topicStatus triggerLiteDispatch
  updateAcl updateBrokerConfig updateColdDataFlowCtrGroupConfig updateControllerConfig updateNamesrvConfig
  updateOrderConf updateStaticTopic updateSubGroup updateSubGroupList updateTopicList updateTopicPerm updateUser
  wipeWritePerm`.split(/\s+/),
);
