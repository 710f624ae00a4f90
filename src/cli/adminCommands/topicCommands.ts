/** Commands of `mqadmin` for topics. Upstream: `MQAdminStartup`. */
import type { CommandRow } from '../command.js';
import { broker, cluster, jsonFile, namesrv, topic } from './options.js';

export const TOPIC_COMMANDS: readonly CommandRow[] = [
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
    load: () => import('../admin/updateTopic.js'),
  },
  {
    name: 'updateTopicList',
    summary: 'create all topics of a JSON file or change them',
    options: [namesrv, broker, cluster, { ...jsonFile, meaning: 'JSON list of topic configurations' }],
    load: async () => ({ run: (await import('../admin/listFiles.js')).updateTopics }),
  },
  {
    name: 'updateTopicPerm',
    summary: 'change what may be done with a topic',
    options: [
      namesrv,
      topic,
      broker,
      cluster,
      { flags: '-p, --perm <bits>', meaning: '2 write, 4 read, 6 both', required: true },
    ],
    load: () => import('../admin/updateTopicPerm.js'),
  },
  {
    name: 'updateOrderConf',
    summary: 'show or change the order configuration of a topic',
    options: [
      namesrv,
      topic,
      { flags: '-m, --method <word>', meaning: 'get, put or delete', required: true },
      { flags: '-v, --orderConf <text>', meaning: 'for put: brokerName:queueCount;...' },
    ],
    load: () => import('../admin/updateOrderConf.js'),
  },
  {
    name: 'deleteTopic',
    summary: 'delete a topic from a cluster and from the name servers',
    options: [namesrv, topic, { ...cluster, required: true }],
    load: () => import('../admin/deleteTopic.js'),
  },
  {
    name: 'topicList',
    summary: 'list the topics of all brokers',
    options: [namesrv, { flags: '-c, --clusterModel', meaning: 'with their clusters and consumer groups' }],
    load: () => import('../admin/topicList.js'),
  },
  {
    name: 'topicRoute',
    summary: 'show where a topic is',
    options: [namesrv, topic, { flags: '-l, --list', meaning: 'as a table' }],
    load: () => import('../admin/topicRoute.js'),
  },
  {
    name: 'topicStatus',
    summary: 'show lowest and highest offset of each queue of a topic',
    options: [namesrv, topic],
    load: () => import('../admin/topicStatus.js'),
  },
  {
    name: 'topicClusterList',
    summary: 'list the clusters that have a topic',
    options: [namesrv, topic],
    load: () => import('../admin/topicClusterList.js'),
  },
  {
    name: 'allocateMQ',
    summary: 'show who would consume which queues of a topic',
    options: [
      namesrv,
      topic,
      { flags: '-i, --ipList <addresses>', meaning: 'consumers, separated by commas', required: true },
    ],
    load: () => import('../admin/allocateMQ.js'),
  },
  {
    name: 'statsAll',
    summary: 'show traffic and backlog of each topic and consumer group',
    options: [
      namesrv,
      { ...topic, meaning: 'this topic only', required: false },
      { flags: '-a, --activeTopic', meaning: 'only topics that were sent to within a day' },
    ],
    load: () => import('../admin/statsAll.js'),
  },
];
