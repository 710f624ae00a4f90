/**
 * The header of SEND_MESSAGE_V2, read straight into the common form. This is the hottest header of a broker; what the
 * table of `headerFields.ts` does row by row is written out here. Anything that is not in canonical form goes through
 * the table, so both accept and refuse the same headers (a test compares them).
 */
import type { HeaderTable } from '../../protocol/headers/headerFields.js';
import type { SendMessageHeader } from '../../protocol/headers/messaging.js';
import { fromSendMessageV2, sendMessageHeader, sendMessageV2Header } from '../../protocol/headers/messaging.js';

type Fields = Readonly<Record<string, string>>;

export const fastSendHeader: HeaderTable<typeof sendMessageHeader.fields> = {
  fields: sendMessageHeader.fields,
  encode: sendMessageHeader.encode,
  decode: (extFields) => decodeCanonical(extFields) ?? fromSendMessageV2(sendMessageV2Header.decode(extFields)),
};

function decodeCanonical(extFields: Fields): SendMessageHeader | undefined {
  const { a, b, c, d, e, f, g, h, i, j, k, l, m, n } = extFields;
  if (a === undefined || b === undefined || c === undefined || g === undefined) return undefined;
  const bornTimestamp = Number(g);
  const defaultTopicQueueNums = canonicalInt(d);
  const queueId = canonicalInt(e);
  const sysFlag = canonicalInt(f);
  const flag = canonicalInt(h);
  const reconsumeTimes = j === undefined ? 0 : canonicalInt(j);
  const maxReconsumeTimes = l === undefined ? 0 : canonicalInt(l);
  if (
    defaultTopicQueueNums === undefined ||
    queueId === undefined ||
    sysFlag === undefined ||
    flag === undefined ||
    reconsumeTimes === undefined ||
    maxReconsumeTimes === undefined ||
    !Number.isSafeInteger(bornTimestamp) ||
    String(bornTimestamp) !== g
  ) {
    return undefined;
  }
  return {
    producerGroup: a,
    topic: b,
    defaultTopic: c,
    defaultTopicQueueNums,
    queueId,
    sysFlag,
    bornTimestamp,
    flag,
    properties: i,
    reconsumeTimes: j === undefined ? undefined : reconsumeTimes,
    unitMode: flagOf(k),
    maxReconsumeTimes: l === undefined ? undefined : maxReconsumeTimes,
    batch: flagOf(m),
    bname: n,
  };
}

/** A 32-bit integer written as JavaScript writes it. */
function canonicalInt(text: string | undefined): number | undefined {
  if (text === '0') return 0;
  if (text === undefined) return undefined;
  const value = Number(text) | 0;
  return String(value) === text ? value : undefined;
}

const flagOf = (text: string | undefined): boolean | undefined =>
  text === undefined ? undefined : text === 'true' || text.toLowerCase() === 'true';
