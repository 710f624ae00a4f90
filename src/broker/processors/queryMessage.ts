/**
 * QUERY_MESSAGE 12, by key, and VIEW_MESSAGE_BY_ID 33, by place. The answers hold whole records; clients check keys
 * again, because the index knows only hashes. Upstream: `QueryMessageProcessor`.
 */
import {
  queryMessageHeader,
  queryMessageResponseHeader,
  viewMessageByIdHeader,
} from '../../protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';

/** Upstream's maxMsgsNumBatch: no query answers more. */
const QUERY_MAX = 64;

export interface QueryMessageParts {
  store: Pick<MessageStore, 'queryByKey' | 'readRecord' | 'visibleEnd'>;
  defaultQueryMaxNum: number;
  now: () => number;
}

export function queryMessageRows({ store, defaultQueryMaxNum, now }: QueryMessageParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.QUERY_MESSAGE,
      header: queryMessageHeader,
      lane: 'query',
      handle({ header }) {
        const isUniqueKey = header._UNIQUE_KEY_QUERY?.toLowerCase() === 'true';
        const maxNum = isUniqueKey ? defaultQueryMaxNum : Math.max(1, Math.min(header.maxNum, QUERY_MAX));
        const { topic, key, beginTimestamp, endTimestamp, indexType } = header;
        const records = store.queryByKey(topic, key, maxNum, beginTimestamp, endTimestamp, indexType);
        if (records.length === 0) {
          return {
            code: RESPONSE_CODE.QUERY_NOT_FOUND,
            remark: 'can not find message, maybe time range not correct',
            extFields: queryMessageResponseHeader.encode({ indexLastUpdateTimestamp: 0, indexLastUpdatePhyoffset: 0 }),
          };
        }
        return {
          code: RESPONSE_CODE.SUCCESS,
          extFields: queryMessageResponseHeader.encode({
            indexLastUpdateTimestamp: now(),
            indexLastUpdatePhyoffset: store.visibleEnd().commitLogOffset,
          }),
          body: Buffer.concat(records),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.VIEW_MESSAGE_BY_ID,
      header: viewMessageByIdHeader,
      lane: 'query',
      handle({ header: { offset } }) {
        const record = offset >= 0 ? store.readRecord(offset) : undefined;
        if (record) return { code: RESPONSE_CODE.SUCCESS, body: record };
        return { code: RESPONSE_CODE.SYSTEM_ERROR, remark: `can not find message by the offset, ${offset}` };
      },
    }),
  ];
}
