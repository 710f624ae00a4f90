/**
 * The commands of `mqadmin` that this version has, and those that it does not have, so that they are told from a typing
 * error. Upstream: `MQAdminStartup`.
 */
import { BROKER_COMMANDS } from './adminCommands/brokerCommands.js';
import { GROUP_COMMANDS } from './adminCommands/groupCommands.js';
import { MESSAGE_COMMANDS } from './adminCommands/messageCommands.js';
import { NAMESRV_COMMANDS } from './adminCommands/namesrvCommands.js';
import { TOPIC_COMMANDS } from './adminCommands/topicCommands.js';
import type { CommandRow } from './command.js';

export const ADMIN_COMMANDS: readonly CommandRow[] = [
  ...TOPIC_COMMANDS,
  ...GROUP_COMMANDS,
  ...MESSAGE_COMMANDS,
  ...BROKER_COMMANDS,
  ...NAMESRV_COMMANDS,
];

/** Commands of RocketMQ's mqadmin that this version does not have, with what it lacks. */
export const ABSENT_ADMIN_COMMANDS: ReadonlyMap<string, string> = absent({
  'authentication is not in this version': 'createUser updateUser deleteUser getUser listUser copyUser',
  'authorization is not in this version': 'createAcl updateAcl deleteAcl getAcl listAcl copyAcl',
  'replication is not in this version': 'haStatus resetMasterFlushOffset getBrokerEpoch getSyncStateSet',
  'the controller is not in this version':
    'cleanBrokerMetadata electMaster getControllerConfig getControllerMetaData updateControllerConfig',
  'there is no broker container': 'addBroker removeBroker',
  'consumption by POP is not in this version': 'setConsumeMode exportPopRecord',
  'lite topics are not in this version':
    'getBrokerLiteInfo getParentTopicInfo getLiteTopicInfo getLiteClientInfo getLiteGroupInfo triggerLiteDispatch',
  'static topics are not in this version': 'updateStaticTopic remappingStaticTopic',
  'nothing is kept in RocksDB': 'checkRocksdbCqWriteProgress exportMetadataInRocksDB rocksDBConfigToJson',
  'compacted topics are not in this version': 'dumpCompactionLog',
  'files are read by position, hot or cold alike':
    'getColdDataFlowCtrInfo updateColdDataFlowCtrGroupConfig removeColdDataFlowCtrGroupConfig setCommitLogReadAheadMode',
  'there is one timer engine': 'switchTimerEngine',
  'its figures come one by one: use brokerStatus and statsAll': 'exportMetrics',
  'message traces are not read in this version': 'queryMsgTraceById',
  "nothing is watched by the tool: use the brokers' figures": 'startMonitoring',
});

function absent(reasons: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(
    Object.entries(reasons).flatMap(([reason, names]) => names.split(' ').map((name) => [name, reason] as const)),
  );
}
