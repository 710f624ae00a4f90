/**
 * QUERY_CONSUME_QUEUE 321: the entries of one consume queue from an index on, with what a group's subscription says of
 * each. Upstream: `AdminBrokerProcessor.queryConsumeQueue`.
 */
import { readInt64 } from '../../base/bytes.js';
import { queryConsumeQueueHeader } from '../../protocol/headers/admin.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import { decodeRecord, RECORD_AT } from '../../protocol/messageRecord.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import { entryTagsCode } from '../../store/queues/dispatch.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { ConsumerFilters } from '../consumerFilters.js';
import type { DelayLevels } from '../delay/delayLevels.js';

/** Entries that one answer holds at most; records are read for them. */
const ENTRIES_MAX = 1000;
const BATCH_COUNT = 64;
const BATCH_BYTES = 1024 * 1024;

export interface QueueEntriesParts {
  clients: Pick<ConnectedClients, 'consumerGroup'>;
  filters: ConsumerFilters;
  levels: DelayLevels;
  store: Pick<MessageStore, 'queueRange' | 'queues' | 'readQueue'>;
}

interface Entry {
  physicOffset: number;
  physicSize: number;
  tagsCode: number;
  /** Does the group's subscription take it, as far as the entry tells? */
  eval: boolean;
}

export function queueEntriesRows({ clients, filters, levels, store }: QueueEntriesParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.QUERY_CONSUME_QUEUE,
      header: queryConsumeQueueHeader,
      lane: 'admin',
      handle({ header: { topic, queueId, index, count, consumerGroup = '' } }) {
        if (!store.queues().get(topic)?.includes(queueId)) {
          return { code: RESPONSE_CODE.SYSTEM_ERROR, remark: `${queueId}@${topic} is not exist!` };
        }
        const { minOffset, maxOffset } = store.queueRange(topic, queueId);
        const subscription = clients.consumerGroup(consumerGroup)?.subscriptions.get(topic);
        const isTaken = (tagsCode: number) => subscription?.filter.mayMatch(tagsCode) ?? true;
        const queueData: Entry[] = [];
        const wanted = Math.min(Math.max(0, count), ENTRIES_MAX);
        for (let at = Math.max(index, minOffset); queueData.length < wanted && at < maxOffset; ) {
          const left = Math.min(BATCH_COUNT, wanted - queueData.length);
          const { records, nextBeginOffset } = store.readQueue(topic, queueId, at, left, BATCH_BYTES);
          if (records.length === 0) break;
          for (const record of records) {
            const { properties, storeTimestamp } = decodeRecord(record, 0, { verifyCrc: false });
            const tagsCode = entryTagsCode(topic, properties, storeTimestamp, levels.millis);
            const physicOffset = readInt64(record, RECORD_AT.COMMIT_LOG_OFFSET);
            queueData.push({ physicOffset, physicSize: record.length, tagsCode, eval: isTaken(tagsCode) });
          }
          at = nextBeginOffset;
        }
        const body = {
          minQueueIndex: minOffset,
          maxQueueIndex: maxOffset,
          queueData,
          subscriptionData: subscription?.data,
          filterData: filterText(consumerGroup, topic),
        };
        return { code: RESPONSE_CODE.SUCCESS, body: Buffer.from(writeFastJson(body)) };
      },
    }),
  ];

  function filterText(group: string, topic: string): string | undefined {
    if (group === '') return undefined;
    if (!clients.consumerGroup(group)?.subscriptions.has(topic)) return `${group}@${topic} is not online!`;
    return filters.textOf(group, topic);
  }
}
