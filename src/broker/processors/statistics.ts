/**
 * What tools read about a broker: queues of a topic (202), progress of a group (208), groups of a topic (300),
 * configuration (26), state (28), and the offset files as text (43, 45). Upstream: `AdminBrokerProcessor`.
 */
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { ConsumeOffset, TopicOffset } from '../../protocol/bodies.js';
import {
  encodeConsumeStatsBody,
  encodeDataVersion,
  encodeKVTable,
  encodeTopicStatsBody,
} from '../../protocol/bodies.js';
import { getConsumeStatsHeader, getTopicStatsInfoHeader } from '../../protocol/headers/admin.js';
import { defineHeader, field } from '../../protocol/headers/headerFields.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import type { MessageQueue } from '../../protocol/message.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { DelayedDelivery } from '../delay/delayedDelivery.js';
import type { Topics } from '../topics.js';
import type { Traffic } from '../traffic.js';

export interface StatisticsParts {
  identity: BrokerIdentity;
  config: BrokerConfig;
  topics: Topics;
  clients: ConnectedClients;
  offsets: ConsumerOffsets;
  delayed: DelayedDelivery;
  store: Pick<MessageStore, 'minCommitLogOffset' | 'queueRange' | 'storeTimeAt' | 'visibleEnd'>;
  putTraffic: Traffic;
  getTraffic: Traffic;
  now: () => number;
}

/** QUERY_TOPIC_CONSUME_BY_WHO 300. */
const queryTopicConsumeByWhoHeader = defineHeader({ topic: field.string });

export function statisticsRows(parts: StatisticsParts): ProcessorRow[] {
  const { identity, config, topics, clients, offsets, delayed, store } = parts;
  const started = parts.now();
  const json = (value: unknown) => ({ code: RESPONSE_CODE.SUCCESS, body: Buffer.from(writeFastJson(value)) });
  return [
    processor({
      code: REQUEST_CODE.GET_TOPIC_STATS_INFO,
      header: getTopicStatsInfoHeader,
      lane: 'admin',
      handle({ header: { topic } }) {
        const known = topics.get(topic);
        if (!known) return { code: RESPONSE_CODE.TOPIC_NOT_EXIST, remark: `topic[${topic}] not exist` };
        const offsetTable: [MessageQueue, TopicOffset][] = [];
        for (let queueId = 0; queueId < Math.max(known.readQueueNums, known.writeQueueNums); queueId += 1) {
          const range = store.queueRange(topic, queueId);
          const lastUpdateTimestamp = timeOfLast(store, topic, queueId, range.maxOffset);
          offsetTable.push([
            { topic, brokerName: identity.brokerName, queueId },
            { ...range, lastUpdateTimestamp },
          ]);
        }
        return { code: RESPONSE_CODE.SUCCESS, body: encodeTopicStatsBody({ offsetTable, topicPutTps: 0 }) };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_CONSUME_STATS,
      header: getConsumeStatsHeader,
      lane: 'admin',
      handle({ header: { consumerGroup, topic } }) {
        const offsetTable: [MessageQueue, ConsumeOffset][] = [];
        for (const name of topic ? [topic] : offsets.topicsOf(consumerGroup)) {
          const online = clients.consumerGroup(consumerGroup);
          const known = topics.get(name);
          // What an online group does not subscribe any more is history.
          if (!known || (online && !online.subscriptions.has(name))) continue;
          for (let queueId = 0; queueId < known.readQueueNums; queueId += 1) {
            const { maxOffset } = store.queueRange(name, queueId);
            const consumerOffset = offsets.query(consumerGroup, name, queueId) ?? 0;
            offsetTable.push([
              { topic: name, brokerName: identity.brokerName, queueId },
              {
                brokerOffset: maxOffset,
                consumerOffset,
                pullOffset: offsets.pullOffset(consumerGroup, name, queueId) ?? 0,
                lastTimestamp: timeOfLast(store, name, queueId, consumerOffset),
              },
            ]);
          }
        }
        return { code: RESPONSE_CODE.SUCCESS, body: encodeConsumeStatsBody({ offsetTable, consumeTps: 0 }) };
      },
    }),
    processor({
      code: REQUEST_CODE.QUERY_TOPIC_CONSUME_BY_WHO,
      header: queryTopicConsumeByWhoHeader,
      lane: 'admin',
      handle({ header: { topic } }) {
        const groupList = new Set(offsets.groupsOf(topic));
        for (const group of clients.consumerGroups()) if (group.subscriptions.has(topic)) groupList.add(group.name);
        return json({ groupList: [...groupList] });
      },
    }),
    processor({
      code: REQUEST_CODE.GET_BROKER_CONFIG,
      header: emptyHeader,
      lane: 'admin',
      handle() {
        const lines = Object.entries(config).map(([key, value]) => `${key}=${value}\n`);
        return {
          code: RESPONSE_CODE.SUCCESS,
          extFields: { version: encodeDataVersion(topics.dataVersion).toString() },
          body: Buffer.from(lines.sort().join('')),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_BROKER_RUNTIME_INFO,
      header: emptyHeader,
      lane: 'admin',
      handle: () => ({ code: RESPONSE_CODE.SUCCESS, body: encodeKVTable({ table: runtimeTable(parts, started) }) }),
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_CONSUMER_OFFSET,
      header: emptyHeader,
      lane: 'admin',
      handle: () => ({ code: RESPONSE_CODE.SUCCESS, body: Buffer.from(offsets.text()) }),
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_DELAY_OFFSET,
      header: emptyHeader,
      lane: 'admin',
      handle: () => ({ code: RESPONSE_CODE.SUCCESS, body: Buffer.from(delayed.text()) }),
    }),
  ];
}

/** Store time of the message before an offset; 0 when there is none. */
function timeOfLast(store: StatisticsParts['store'], topic: string, queueId: number, endOffset: number): number {
  if (endOffset <= store.queueRange(topic, queueId).minOffset) return 0;
  return Math.max(0, store.storeTimeAt(topic, queueId, endOffset - 1));
}

/** The keys that mqadmin and the dashboard read, all as text; what has no counterpart here is 0. */
function runtimeTable(parts: StatisticsParts, started: number): Map<string, string> {
  const { store, config, delayed, putTraffic, getTraffic } = parts;
  const now = parts.now();
  const end = store.visibleEnd().commitLogOffset;
  const putTotal = String(putTraffic.total);
  const getTotal = String(getTraffic.total);
  const table = new Map<string, string>([
    ['brokerVersionDesc', 'V5_5_0'],
    ['brokerVersion', '513'],
    ['brokerActive', 'true'],
    ['bootTimestamp', String(started)],
    ['runtime', durationText(now - started)],
    ['startAcceptSendRequestTimeStamp', '0'],
    ['putTps', putTraffic.ratesText(now)],
    ['getTransferredTps', getTraffic.ratesText(now)],
    ['getFoundTps', getTraffic.ratesText(now)],
    ['getTotalTps', getTraffic.ratesText(now)],
    ['getMissTps', '0.0 0.0 0.0'],
    ['putMessageTimesTotal', putTotal],
    ['msgPutTotalTodayNow', putTotal],
    ['msgGetTotalTodayNow', getTotal],
    ['commitLogMinOffset', String(store.minCommitLogOffset())],
    ['commitLogMaxOffset', String(end)],
    ['earliestMessageTimeStamp', '-1'],
    ['commitLogDiskRatio', '0.0'],
    ['consumeQueueDiskRatio', '0.0'],
    ['timerEnqueueTps', '0.0'],
    ['timerDequeueTps', '0.0'],
    ['sendThreadPoolQueueCapacity', String(config.sendThreadPoolQueueCapacity)],
    ['pullThreadPoolQueueCapacity', String(config.pullThreadPoolQueueCapacity)],
  ]);
  for (const key of ALWAYS_ZERO) table.set(key, '0');
  for (const { level, offset, maxOffset } of delayed.progress()) {
    table.set(`scheduleMessageOffset_${level}`, `${offset},${maxOffset}`);
  }
  return table;
}

/** There are no thread pools, page-cache locks or unfinished dispatches that could be reported. */
const ALWAYS_ZERO = [
  'sendThreadPoolQueueSize',
  'pullThreadPoolQueueSize',
  'ackThreadPoolQueueSize',
  'queryThreadPoolQueueSize',
  'sendThreadPoolQueueHeadWaitTimeMills',
  'pullThreadPoolQueueHeadWaitTimeMills',
  'ackThreadPoolQueueHeadWaitTimeMills',
  'queryThreadPoolQueueHeadWaitTimeMills',
  'pageCacheLockTimeMills',
  'dispatchBehindBytes',
  'timerReadBehind',
  'timerOffsetBehind',
  'timerCongestNum',
  'msgPutTotalTodayMorning',
  'msgPutTotalYesterdayMorning',
  'msgGetTotalTodayMorning',
  'msgGetTotalYesterdayMorning',
  'remainHowManyDataToFlush',
  'putMessageFailedTimes',
];

function durationText(millis: number): string {
  const seconds = Math.floor(millis / 1000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  return `[ ${days} days, ${hours} hours, ${minutes} minutes, ${seconds % 60} seconds ]`;
}
