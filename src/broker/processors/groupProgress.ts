/**
 * How far groups have come: of one group (GET_CONSUME_STATS 208), of all (317), in time (303); which groups a topic has
 * (300) and which topics a group (343, 345); the least offset of a topic's groups (308); and copying one group's offsets
 * to another (314). Upstream: `AdminBrokerProcessor`.
 *
 * Differs from RocketMQ: groups that 308 leaves out keep their offsets; upstream removes them.
 */
import type { ConsumeOffset, ConsumeStatsBody } from '../../protocol/bodies.js';
import { encodeBrokerConsumeStats, encodeConsumeStatsBody } from '../../protocol/bodies.js';
import {
  cloneGroupOffsetHeader,
  getBrokerConsumeStatsHeader,
  getConsumeStatsHeader,
  queryConsumeTimeSpanHeader,
  queryCorrectionOffsetHeader,
  querySubscriptionByConsumerHeader,
  queryTopicConsumeByWhoHeader,
  queryTopicsByConsumerHeader,
} from '../../protocol/headers/admin.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import type { MessageQueue } from '../../protocol/message.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { BrokerStats } from '../brokerStats.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';

/** What Java writes for a queue whose group is ahead of the one it is compared with: Long.MAX_VALUE. */
const NO_CORRECTION = '9223372036854775807';

export interface GroupProgressParts {
  identity: BrokerIdentity;
  topics: Topics;
  groups: SubscriptionGroups;
  clients: ConnectedClients;
  offsets: ConsumerOffsets;
  store: Pick<MessageStore, 'queueRange' | 'storeTimeAt'>;
  stats: Pick<BrokerStats, 'groupGetTps'>;
  now: () => number;
}

export function groupProgressRows(parts: GroupProgressParts): ProcessorRow[] {
  const { identity, topics, groups, clients, offsets, stats } = parts;
  return [
    processor({
      code: REQUEST_CODE.GET_CONSUME_STATS,
      header: getConsumeStatsHeader,
      lane: 'admin',
      handle({ header: { consumerGroup, topic, topicList } }) {
        const named = [topic ?? '', ...(topicList ?? '').split(';')].filter((name) => name !== '');
        const offsetTable: [MessageQueue, ConsumeOffset][] = [];
        let consumeTps = 0;
        for (const name of named.length > 0 ? named : offsets.topicsOf(consumerGroup)) {
          const known = topics.get(name);
          if (!known || isHistory(parts, consumerGroup, name)) continue;
          offsetTable.push(...progressOf(parts, consumerGroup, name, known.readQueueNums));
          consumeTps += stats.groupGetTps(name, consumerGroup);
        }
        return { code: RESPONSE_CODE.SUCCESS, body: encodeConsumeStatsBody({ offsetTable, consumeTps }) };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_BROKER_CONSUME_STATS,
      header: getBrokerConsumeStatsHeader,
      lane: 'admin',
      handle({ header: { isOrder } }) {
        const statsOfGroups: [string, ConsumeStatsBody[]][] = [];
        for (const group of groups.snapshot().subscriptionGroupTable.keys()) {
          const statsOfTopics: ConsumeStatsBody[] = [];
          for (const topic of offsets.topicsOf(group)) {
            const known = topics.get(topic);
            if (!known || (isOrder && !known.order) || isHistory(parts, group, topic)) continue;
            const offsetTable = progressOf(parts, group, topic, known.writeQueueNums);
            statsOfTopics.push({ offsetTable, consumeTps: stats.groupGetTps(topic, group) });
          }
          statsOfGroups.push([group, statsOfTopics]);
        }
        const body = encodeBrokerConsumeStats({ brokerAddr: identity.addressText, statsOfGroups });
        return { code: RESPONSE_CODE.SUCCESS, body };
      },
    }),
    processor({
      code: REQUEST_CODE.QUERY_CONSUME_TIME_SPAN,
      header: queryConsumeTimeSpanHeader,
      lane: 'admin',
      handle({ header: { topic, group } }) {
        const known = topics.get(topic);
        if (!known) return { code: RESPONSE_CODE.TOPIC_NOT_EXIST, remark: `topic[${topic}] not exist` };
        const consumeTimeSpanSet: object[] = [];
        for (let queueId = 0; queueId < known.writeQueueNums; queueId += 1) {
          consumeTimeSpanSet.push(timeSpanOf(parts, group, { topic, brokerName: identity.brokerName, queueId }));
        }
        return json({ consumeTimeSpanSet });
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
      code: REQUEST_CODE.QUERY_TOPICS_BY_CONSUMER,
      header: queryTopicsByConsumerHeader,
      lane: 'admin',
      handle: ({ header: { group } }) => json({ brokerAddr: identity.addressText, topicList: offsets.topicsOf(group) }),
    }),
    processor({
      code: REQUEST_CODE.QUERY_SUBSCRIPTION_BY_CONSUMER,
      header: querySubscriptionByConsumerHeader,
      lane: 'admin',
      handle({ header: { group, topic } }) {
        const subscriptionData = clients.consumerGroup(group)?.subscriptions.get(topic)?.data;
        return json({ group, topic, subscriptionData });
      },
    }),
    processor({
      code: REQUEST_CODE.QUERY_CORRECTION_OFFSET,
      header: queryCorrectionOffsetHeader,
      lane: 'admin',
      handle: ({ header }) => ({
        code: RESPONSE_CODE.SUCCESS,
        // Written out: the number that stands for no correction is none that JavaScript can hold.
        body: Buffer.from(`{"correctionOffsets":{${correctionsOf(parts, header).join(',')}}}`),
      }),
    }),
    processor({
      code: REQUEST_CODE.CLONE_GROUP_OFFSET,
      header: cloneGroupOffsetHeader,
      lane: 'admin',
      handle({ header: { srcGroup, destGroup, topic, offline } }) {
        for (const name of topic ? [topic] : offsets.topicsOf(srcGroup)) {
          const known = topics.get(name);
          if (!known || (!offline && isHistory(parts, srcGroup, name))) continue;
          const count = Math.max(known.readQueueNums, known.writeQueueNums);
          for (let queueId = 0; queueId < count; queueId += 1) {
            const offset = offsets.query(srcGroup, name, queueId);
            if (offset !== undefined) offsets.commit(destGroup, name, queueId, offset);
          }
        }
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
  ];
}

/** What an online group does not subscribe any more is history. */
function isHistory({ clients }: GroupProgressParts, group: string, topic: string): boolean {
  const online = clients.consumerGroup(group);
  return online !== undefined && online.subscriptions.size > 0 && !online.subscriptions.has(topic);
}

function progressOf(
  { identity, offsets, store }: GroupProgressParts,
  group: string,
  topic: string,
  queues: number,
): [MessageQueue, ConsumeOffset][] {
  const progress: [MessageQueue, ConsumeOffset][] = [];
  for (let queueId = 0; queueId < queues; queueId += 1) {
    const consumerOffset = offsets.query(group, topic, queueId) ?? 0;
    progress.push([
      { topic, brokerName: identity.brokerName, queueId },
      {
        brokerOffset: store.queueRange(topic, queueId).maxOffset,
        consumerOffset,
        pullOffset: offsets.pullOffset(group, topic, queueId) ?? 0,
        lastTimestamp: timeOfLast(store, topic, queueId, consumerOffset),
      },
    ]);
  }
  return progress;
}

/** Store time of the message before an offset; 0 when there is none. */
export function timeOfLast(
  store: Pick<MessageStore, 'queueRange' | 'storeTimeAt'>,
  topic: string,
  queueId: number,
  endOffset: number,
): number {
  if (endOffset <= store.queueRange(topic, queueId).minOffset) return 0;
  return Math.max(0, store.storeTimeAt(topic, queueId, endOffset - 1));
}

/** From when to when a queue's messages are, and where between them the group is. Times without a message are -1. */
function timeSpanOf({ store, offsets, now }: GroupProgressParts, group: string, messageQueue: MessageQueue): object {
  const { topic, queueId } = messageQueue;
  const { minOffset, maxOffset } = store.queueRange(topic, queueId);
  const timeAt = (offset: number) =>
    offset >= minOffset && offset < maxOffset ? store.storeTimeAt(topic, queueId, offset) : -1;
  const offset = offsets.query(group, topic, queueId) ?? -1;
  const minTimeStamp = timeAt(minOffset);
  const maxTimeStamp = timeAt(maxOffset - 1);
  const consumeTimeStamp = offset > 0 ? timeAt(offset - 1) : minTimeStamp;
  const nextTime = timeAt(Math.max(offset, minOffset));
  return {
    messageQueue,
    minTimeStamp,
    minTimeStampStr: timeText(minTimeStamp),
    maxTimeStamp,
    maxTimeStampStr: timeText(maxTimeStamp),
    consumeTimeStamp,
    consumeTimeStampStr: timeText(consumeTimeStamp),
    delayTime: offset < maxOffset && nextTime >= 0 ? now() - nextTime : 0,
  };
}

/** `yyyy-MM-dd#HH:mm:ss:SSS` in local time. Upstream: `UtilAll.YYYY_MM_DD_HH_MM_SS_SSS`. */
function timeText(time: number): string {
  const at = new Date(time);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day}#${clock}:${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** Of each queue the least offset that a group of the topic has, unless the group that is compared is behind it. */
function correctionsOf(
  { offsets, store, topics }: GroupProgressParts,
  header: { topic: string; compareGroup: string; filterGroups: string | undefined },
): string[] {
  const { topic, compareGroup, filterGroups = '' } = header;
  const known = topics.get(topic);
  const leftOut = new Set(filterGroups.split(','));
  const counted = offsets.groupsOf(topic).filter((group) => !leftOut.has(group));
  const corrections: string[] = [];
  const queues = known ? Math.max(known.readQueueNums, known.writeQueueNums) : 0;
  for (let queueId = 0; queueId < queues; queueId += 1) {
    const { minOffset } = store.queueRange(topic, queueId);
    const given = counted
      .map((group) => offsets.query(group, topic, queueId))
      .filter((offset) => offset !== undefined && offset >= minOffset);
    const least = given.length > 0 ? Math.min(...given.map(Number)) : undefined;
    const compared = offsets.query(compareGroup, topic, queueId);
    const isAhead = compared !== undefined && (least === undefined || least > compared);
    if (isAhead) corrections.push(`${queueId}:${NO_CORRECTION}`);
    else if (least !== undefined) corrections.push(`${queueId}:${least}`);
  }
  return corrections;
}

const json = (value: unknown): ResponseFields => ({
  code: RESPONSE_CODE.SUCCESS,
  body: Buffer.from(writeFastJson(value)),
});
