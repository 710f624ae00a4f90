/**
 * READ_BY_KEY 18602: the records that carry any of some keys, in log order, page by page. The end that the first page
 * names is the token of a later condition: everything before it was read.
 */
import { BrokerError } from '../../base/errors.js';
import { decodeReadByKeyRequest, encodeReadByKeyResponse, readByKeyHeader } from '../../protocol/headers/events.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';

/** Bounds of one page, whatever is asked for. */
const PAGE_COUNT_MAX = 10_000;
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
const KEYS_MAX = 1000;

export interface ReadByKeyParts {
  store: Pick<MessageStore, 'readByKeys' | 'visibleEnd'>;
}

export function readByKeyRows({ store }: ReadByKeyParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.READ_BY_KEY,
      header: readByKeyHeader,
      lane: 'query',
      handle({ header, body }) {
        const { keys, from, until, direction, maxCount, maxBytes } = decodeReadByKeyRequest(header, body);
        if (keys.length === 0 || keys.length > KEYS_MAX) {
          const remark = `a read names 1 to ${KEYS_MAX} keys, this one ${keys.length}`;
          throw new BrokerError(RESPONSE_CODE.INVALID_PARAMETER, remark, remark);
        }
        const visibleEnd = store.visibleEnd();
        const result = store.readByKeys({
          keys,
          direction,
          maxCount: Math.max(1, Math.min(maxCount, PAGE_COUNT_MAX)),
          maxBytes: Math.max(1, Math.min(maxBytes, PAGE_BYTES_MAX)),
          ...(from !== undefined && { from: Math.max(0, from) }),
          // A token never claims more than what could be read.
          ...(until !== undefined && { until: Math.max(0, Math.min(until, visibleEnd.commitLogOffset)) }),
        });
        return encodeReadByKeyResponse({
          end: result.end,
          next: result.next,
          records: result.records.length === 1 && result.records[0] ? result.records[0] : Buffer.concat(result.records),
        });
      },
    }),
  ];
}
