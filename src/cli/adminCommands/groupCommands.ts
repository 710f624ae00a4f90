/** Commands of `mqadmin` for consumer groups, their members and producers. Upstream: `MQAdminStartup`. */
import type { CommandRow } from '../command.js';
import { broker, cluster, group, jsonFile, namesrv, topic } from './options.js';

export const GROUP_COMMANDS: readonly CommandRow[] = [
  {
    name: 'updateSubGroup',
    summary: 'create a consumer group or change it',
    options: [
      namesrv,
      broker,
      cluster,
      { ...group, required: true },
      { flags: '-s, --consumeEnable <flag>', meaning: 'may it consume? (default: true)' },
      { flags: '-m, --consumeFromMinEnable <flag>', meaning: 'may it begin at the lowest offset? (default: false)' },
      { flags: '-d, --consumeBroadcastEnable <flag>', meaning: 'may it broadcast? (default: false)' },
      { flags: '-o, --consumeMessageOrderly <flag>', meaning: 'does it consume in order? (default: false)' },
      { flags: '-q, --retryQueueNums <count>', meaning: 'queues of its retry topic (default: 1)' },
      { flags: '-r, --retryMaxTimes <count>', meaning: 'redeliveries before the dead letters (default: 16)' },
      { flags: '-i, --brokerId <id>', meaning: 'where it consumes (default: 0)' },
      { flags: '-w, --whichBrokerWhenConsumeSlowly <id>', meaning: 'where it consumes when it is slow (default: 1)' },
      {
        flags: '-a, --notifyConsumerIdsChanged <flag>',
        meaning: 'tell members when others come and go (default: true)',
      },
      { flags: '--attributes <list>', meaning: '+key=value,+key=value' },
    ],
    load: () => import('../admin/updateSubGroup.js'),
  },
  {
    name: 'updateSubGroupList',
    summary: 'create all consumer groups of a JSON file or change them',
    options: [namesrv, broker, cluster, { ...jsonFile, meaning: 'JSON list of group configurations' }],
    load: async () => ({ run: (await import('../admin/listFiles.js')).updateGroups }),
  },
  {
    name: 'deleteSubGroup',
    summary: 'delete a consumer group; of a cluster its retry and dead-letter topics too',
    options: [
      namesrv,
      broker,
      cluster,
      { ...group, required: true },
      { flags: '-r, --removeOffset <flag>', meaning: 'true: forget its offsets too' },
    ],
    load: () => import('../admin/deleteSubGroup.js'),
  },
  {
    name: 'getConsumerConfig',
    summary: 'show the configuration of a consumer group',
    options: [namesrv, { ...group, required: true }],
    load: () => import('../admin/getConsumerConfig.js'),
  },
  {
    name: 'consumerProgress',
    summary: 'show how far a consumer group is behind',
    options: [
      namesrv,
      { flags: '-g, --groupName <group>', meaning: 'this consumer group, queue by queue; otherwise all, a line each' },
      { ...topic, flags: '-t, --topicName <topic>', meaning: 'this topic only', required: false },
      { ...cluster, meaning: 'brokers of this cluster only' },
    ],
    load: () => import('../admin/consumerProgress.js'),
  },
  {
    name: 'consumerConnection',
    summary: 'show the members of a consumer group and their subscriptions',
    options: [namesrv, { flags: '-g, --consumerGroup <group>', meaning: 'consumer group', required: true }, broker],
    load: async () => ({ run: (await import('../admin/connections.js')).ofConsumers }),
  },
  {
    name: 'consumerStatus',
    summary: 'ask the members of a consumer group about themselves',
    options: [
      namesrv,
      { flags: '-g, --consumerGroup <group>', meaning: 'consumer group', required: true },
      { flags: '-i, --clientId <id>', meaning: 'this member, printed; otherwise all, a file each' },
      broker,
      { flags: '-s, --jstack', meaning: 'with stacks' },
    ],
    load: () => import('../admin/consumerStatus.js'),
  },
  {
    name: 'producer',
    summary: 'list all producers that are connected to a broker',
    options: [namesrv, { flags: '-b, --broker <address>', meaning: 'broker', required: true }],
    load: () => import('../admin/producers.js'),
  },
  {
    name: 'producerConnection',
    summary: 'show the producers of a group',
    options: [namesrv, { flags: '-g, --producerGroup <group>', meaning: 'producer group', required: true }, topic],
    load: async () => ({ run: (await import('../admin/connections.js')).ofProducers }),
  },
  {
    name: 'resetOffsetByTime',
    summary: 'set the offsets of a consumer group to a time',
    options: [
      namesrv,
      topic,
      { flags: '-g, --group <group>', meaning: 'consumer group', required: true },
      {
        flags: '-s, --timestamp <time>',
        meaning: 'now, milliseconds, -1 (end) or yyyy-MM-dd#HH:mm:ss:SSS',
        required: true,
      },
      { flags: '-f, --force <flag>', meaning: 'false: only backwards (default: true)' },
    ],
    load: async () => ({ run: (await import('../admin/resetOffset.js')).byTime }),
  },
  {
    name: 'skipAccumulatedMessage',
    summary: 'set the offsets of a consumer group to the end',
    options: [
      namesrv,
      topic,
      { flags: '-g, --group <group>', meaning: 'consumer group', required: true },
      { flags: '-f, --force <flag>', meaning: 'false: only backwards (default: true)' },
    ],
    load: async () => ({ run: (await import('../admin/resetOffset.js')).toEnd }),
  },
  {
    name: 'cloneGroupOffset',
    summary: 'give a consumer group the progress of another',
    options: [
      namesrv,
      { flags: '-s, --srcGroup <group>', meaning: 'from this group', required: true },
      { flags: '-d, --destGroup <group>', meaning: 'to this group', required: true },
      topic,
      { flags: '-o, --offline <flag>', meaning: 'true: though members of the group are connected' },
    ],
    load: () => import('../admin/cloneGroupOffset.js'),
  },
];
