/**
 * What tools read about a broker: queues of a topic (202), counts (315), connected producers (328), and files as they
 * are now: offsets of consumers (43) and of delay levels (45), checkpoint (60) and metrics (61) of the timer. Upstream:
 * `AdminBrokerProcessor`.
 */
import type { TopicOffset } from '../../protocol/bodies.js';
import { encodeTopicStatsBody } from '../../protocol/bodies.js';
import { getTopicStatsInfoHeader, viewBrokerStatsDataHeader } from '../../protocol/headers/admin.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
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
import type { DelayedDelivery } from '../delay/delayedDelivery.js';
import type { Timers } from '../delay/timers.js';
import type { Topics } from '../topics.js';
import { timeOfLast } from './groupProgress.js';

export interface StatisticsParts {
  identity: BrokerIdentity;
  topics: Topics;
  clients: ConnectedClients;
  offsets: ConsumerOffsets;
  delayed: DelayedDelivery;
  timed: Timers;
  store: Pick<MessageStore, 'queueRange' | 'storeTimeAt'>;
  stats: BrokerStats;
}

export function statisticsRows(parts: StatisticsParts): ProcessorRow[] {
  const { identity, topics, clients, offsets, delayed, timed, store, stats } = parts;
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
        const topicPutTps = stats.topicPutTps(topic);
        return { code: RESPONSE_CODE.SUCCESS, body: encodeTopicStatsBody({ offsetTable, topicPutTps }) };
      },
    }),
    processor({
      code: REQUEST_CODE.VIEW_BROKER_STATS_DATA,
      header: viewBrokerStatsDataHeader,
      lane: 'admin',
      handle({ header: { statsName, statsKey } }) {
        const figures = stats.figures(statsName, statsKey);
        return figures ? textOf(writeFastJson(figures)) : failure(`The stats <${statsName}> <${statsKey}> not exist`);
      },
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_PRODUCER_INFO,
      header: emptyHeader,
      lane: 'admin',
      handle() {
        const data = clients.producerGroups().map(([group, members]): [string, object[]] => [
          group,
          members.map(({ clientId, peer, language, version, lastUpdateTimestamp }) => ({
            clientId,
            remoteIP: peer.address.host,
            language,
            version,
            lastUpdateTimestamp,
          })),
        ]);
        return textOf(writeFastJson({ data: new Map(data) }));
      },
    }),
    processor({
      code: REQUEST_CODE.GET_TIMER_CHECK_POINT,
      header: emptyHeader,
      lane: 'admin',
      handle() {
        const body = timed.checkpoint();
        return body ? { code: RESPONSE_CODE.SUCCESS, body } : failure('The checkpoint is null');
      },
    }),
    processor({
      code: REQUEST_CODE.GET_TIMER_METRICS,
      header: emptyHeader,
      lane: 'admin',
      handle() {
        const text = timed.metricsText();
        return text === undefined ? failure('The timerMessageStore is null') : textOf(text);
      },
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_CONSUMER_OFFSET,
      header: emptyHeader,
      lane: 'admin',
      handle: () => textOf(offsets.text()),
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_DELAY_OFFSET,
      header: emptyHeader,
      lane: 'admin',
      handle: () => textOf(delayed.text()),
    }),
  ];
}

const textOf = (text: string): ResponseFields => ({ code: RESPONSE_CODE.SUCCESS, body: Buffer.from(text) });

const failure = (remark: string): ResponseFields => ({ code: RESPONSE_CODE.SYSTEM_ERROR, remark });
