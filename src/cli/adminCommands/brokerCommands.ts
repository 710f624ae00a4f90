/** Commands of `mqadmin` for brokers. Upstream: `MQAdminStartup`. */
import type { CommandRow } from '../command.js';
import { broker, cluster, exportPath, namesrv, someCluster } from './options.js';

export const BROKER_COMMANDS: readonly CommandRow[] = [
  {
    name: 'clusterList',
    summary: 'list clusters and their brokers',
    options: [namesrv, { ...cluster, meaning: 'this cluster only' }],
    load: () => import('../admin/clusterList.js'),
  },
  {
    name: 'brokerStatus',
    summary: 'show the figures of a broker',
    options: [namesrv, broker, cluster],
    load: () => import('../admin/brokerStatus.js'),
  },
  {
    name: 'brokerConsumeStats',
    summary: 'show how far every consumer group of a broker is behind',
    options: [
      namesrv,
      { ...broker, required: true },
      { flags: '-l, --level <count>', meaning: 'only queues with at least so many messages left (default: 0)' },
      { flags: '-o, --order <flag>', meaning: 'true: ordered topics only' },
    ],
    load: () => import('../admin/brokerConsumeStats.js'),
  },
  {
    name: 'getBrokerConfig',
    summary: 'show the configuration of a broker',
    options: [namesrv, broker, cluster],
    load: async () => ({ run: (await import('../admin/serverConfig.js')).ofBrokers }),
  },
  {
    name: 'updateBrokerConfig',
    summary: 'change the configuration of a broker',
    options: [
      namesrv,
      broker,
      cluster,
      { flags: '-k, --key <key>', meaning: 'key', required: true },
      { flags: '-v, --value <value>', meaning: 'value', required: true },
    ],
    load: async () => ({ run: (await import('../admin/serverConfig.js')).updateBrokers }),
  },
  {
    name: 'cleanExpiredCQ',
    summary: 'remove expired consume queue files',
    options: [namesrv, broker, someCluster],
    load: async () => ({ run: (await import('../admin/cleanUp.js')).consumeQueues }),
  },
  {
    name: 'cleanUnusedTopic',
    summary: 'remove the queues of topics that are gone',
    options: [namesrv, broker, someCluster],
    load: async () => ({ run: (await import('../admin/cleanUp.js')).unusedTopics }),
  },
  {
    name: 'deleteExpiredCommitLog',
    summary: 'remove expired commit log files now',
    options: [namesrv, broker, someCluster],
    load: async () => ({ run: (await import('../admin/cleanUp.js')).commitLog }),
  },
  {
    name: 'exportMetadata',
    summary: 'write topics and groups to a JSON file',
    options: [
      namesrv,
      broker,
      cluster,
      exportPath,
      { flags: '-t, --topic', meaning: 'topics only' },
      { flags: '-g, --subscriptionGroup', meaning: 'groups only' },
    ],
    load: async () => ({ run: (await import('../admin/exportFiles.js')).metadata }),
  },
  {
    name: 'exportConfigs',
    summary: 'write the configuration of brokers to a JSON file',
    options: [namesrv, { ...cluster, meaning: 'of this cluster only' }, exportPath],
    load: async () => ({ run: (await import('../admin/exportFiles.js')).configs }),
  },
];
