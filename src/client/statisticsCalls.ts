/**
 * Figures that tools ask of one broker, as typed calls: traffic of topics and groups, all producers, what a consumer
 * says of itself, entries of a consume queue. Upstream: `MQClientAPIImpl`, `BrokerStatsData`,
 * `QueryConsumeQueueResponseBody`.
 */
import { type BrokerConsumeStats, decodeBrokerConsumeStats } from '../protocol/bodies.js';
import {
  cloneGroupOffsetHeader,
  getBrokerConsumeStatsHeader,
  queryConsumeQueueHeader,
  viewBrokerStatsDataHeader,
} from '../protocol/headers/admin.js';
import { getConsumerRunningInfoHeader } from '../protocol/headers/group.js';
import type { HeaderInput } from '../protocol/headers/headerFields.js';
import { JsonReader, type ReadValue, readNumber } from '../protocol/jsonReader.js';
import { parseLooseJson } from '../protocol/looseJson.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { isRefusal, type Requests } from './requests.js';

/** A consumer's answer comes through the broker, which waits 10 s for it. */
const RELAY_TIMEOUT_MILLIS = 15_000;

/** Of the last minute, hour or day. */
export interface TrafficFigures {
  sum: number;
  tps: number;
}

export interface BrokerStats {
  minute: TrafficFigures;
  hour: TrafficFigures;
  day: TrafficFigures;
}

export interface ProducerClient {
  clientId: string;
  remoteIP: string;
  language: string | undefined;
  version: number;
  lastUpdateTimestamp: number;
}

export interface QueueEntry {
  physicOffset: number;
  physicSize: number;
  tagsCode: number;
  eval: boolean;
}

const NO_TRAFFIC: TrafficFigures = { sum: 0, tps: 0 };

const readFigures: ReadValue<TrafficFigures> = (value, where) => {
  const from = new JsonReader(value, where);
  return { sum: from.read('sum', readNumber, 0), tps: from.read('tps', readNumber, 0) };
};

const readProducer: ReadValue<ProducerClient> = (value, where) => {
  const from = new JsonReader(value, where);
  return {
    clientId: from.text('clientId', ''),
    remoteIP: from.text('remoteIP', ''),
    language: from.optionalText('language'),
    version: from.whole('version', 0),
    lastUpdateTimestamp: from.whole('lastUpdateTimestamp', 0),
  };
};

const readEntry: ReadValue<QueueEntry> = (value, where) => {
  const from = new JsonReader(value, where);
  return {
    physicOffset: from.whole('physicOffset'),
    physicSize: from.whole('physicSize'),
    // May lie outside the safe integers: an address of the extension file does.
    tagsCode: from.read('tagsCode', readNumber),
    eval: from.flag('eval', true),
  };
};

export class StatisticsCalls {
  readonly #requests: Requests;

  constructor({ requests }: { requests: Requests }) {
    this.#requests = requests;
  }

  /** Undefined when the broker has counted nothing under this name and key. */
  async stats(address: string, statsName: string, statsKey: string): Promise<BrokerStats | undefined> {
    const extFields = viewBrokerStatsDataHeader.encode({ statsName, statsKey });
    try {
      const response = await this.#requests.ask(address, { code: REQUEST_CODE.VIEW_BROKER_STATS_DATA, extFields });
      const from = JsonReader.ofBody(response.body, 'stats');
      return {
        minute: from.read('statsMinute', readFigures, NO_TRAFFIC),
        hour: from.read('statsHour', readFigures, NO_TRAFFIC),
        day: from.read('statsDay', readFigures, NO_TRAFFIC),
      };
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.SYSTEM_ERROR)) return undefined;
      throw thrown;
    }
  }

  /** Connected producers by group. */
  async producers(address: string): Promise<Map<string, ProducerClient[]>> {
    const { body } = await this.#requests.ask(address, { code: REQUEST_CODE.GET_ALL_PRODUCER_INFO });
    return JsonReader.ofBody(body, 'producers').table('data', (value, where) =>
      new JsonReader({ clients: value }, where).list('clients', readProducer),
    );
  }

  /** What the consumer says of itself, as it is. Rejects when it is not connected or does not answer. */
  async runningInfo(address: string, consumerGroup: string, clientId: string, jstackEnable = false): Promise<unknown> {
    const { body } = await this.#requests.ask(address, {
      code: REQUEST_CODE.GET_CONSUMER_RUNNING_INFO,
      extFields: getConsumerRunningInfoHeader.encode({ consumerGroup, clientId, jstackEnable }),
      timeoutMillis: RELAY_TIMEOUT_MILLIS,
    });
    return parseLooseJson(body.toString());
  }

  /** Gives one group the progress of another, in a topic or in all. */
  async cloneOffsets(address: string, header: HeaderInput<typeof cloneGroupOffsetHeader.fields>): Promise<void> {
    const extFields = cloneGroupOffsetHeader.encode(header);
    await this.#requests.ask(address, { code: REQUEST_CODE.CLONE_GROUP_OFFSET, extFields });
  }

  /** Progress of all groups of the broker; `isOrder`: in ordered topics only. */
  async consumeStats(address: string, isOrder: boolean): Promise<BrokerConsumeStats> {
    const extFields = getBrokerConsumeStatsHeader.encode({ isOrder });
    const response = await this.#requests.ask(address, { code: REQUEST_CODE.GET_BROKER_CONSUME_STATS, extFields });
    return decodeBrokerConsumeStats(response.body);
  }

  /** Entries of a consume queue from an index on. */
  async queueEntries(
    address: string,
    header: HeaderInput<typeof queryConsumeQueueHeader.fields>,
  ): Promise<{ minQueueIndex: number; maxQueueIndex: number; entries: QueueEntry[] }> {
    const extFields = queryConsumeQueueHeader.encode(header);
    const response = await this.#requests.ask(address, { code: REQUEST_CODE.QUERY_CONSUME_QUEUE, extFields });
    const from = JsonReader.ofBody(response.body, 'queue entries');
    return {
      minQueueIndex: from.whole('minQueueIndex', 0),
      maxQueueIndex: from.whole('maxQueueIndex', 0),
      entries: from.list('queueData', readEntry),
    };
  }
}
