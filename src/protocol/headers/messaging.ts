/**
 * Headers of sending, pulling, querying and of consumer offsets. Field names and types are the wire's; a field that
 * foldlog does not act on (`ns`, `nsd`, `lo`, `ReqT` …) is left out, since decoding ignores what a table does not name.
 * Upstream: `SendMessageRequestHeader`, `SendMessageRequestHeaderV2`, `PullMessageRequestHeader`,
 * `QueryMessageRequestHeader`, `QueryConsumerOffsetRequestHeader` and their neighbours.
 */
import type { HeaderInput, HeaderOf } from './headerFields.js';
import { defineHeader, field, optional } from './headerFields.js';

/** Requests without header fields. */
export const emptyHeader = defineHeader({});

/** What a message is sent with, also when it is a reply. */
const sendFields = {
  producerGroup: field.string,
  topic: field.string,
  defaultTopic: field.string,
  defaultTopicQueueNums: field.int,
  /** Below 0: the broker picks one. */
  queueId: field.int,
  sysFlag: field.int,
  bornTimestamp: field.long,
  flag: field.int,
  /** Text form of messageProperties.ts. */
  properties: optional.string,
  reconsumeTimes: optional.int,
  unitMode: optional.boolean,
};

/** SEND_MESSAGE 10: long names. */
export const sendMessageHeader = defineHeader({
  ...sendFields,
  maxReconsumeTimes: optional.int,
  batch: optional.boolean,
  bname: optional.string,
});
export type SendMessageHeader = HeaderOf<typeof sendMessageHeader.fields>;

/** SEND_MESSAGE_V2 310 and SEND_BATCH_MESSAGE 320: the same fields in short names, in the same order. */
export const sendMessageV2Header = defineHeader({
  a: field.string,
  b: field.string,
  c: field.string,
  d: field.int,
  e: field.int,
  f: field.int,
  g: field.long,
  h: field.int,
  i: optional.string,
  j: optional.int,
  k: optional.boolean,
  l: optional.int,
  m: optional.boolean,
  n: optional.string,
});
export type SendMessageV2Header = HeaderOf<typeof sendMessageV2Header.fields>;

/** The common form of a V2 header. */
export function fromSendMessageV2(short: SendMessageV2Header): SendMessageHeader {
  return {
    producerGroup: short.a,
    topic: short.b,
    defaultTopic: short.c,
    defaultTopicQueueNums: short.d,
    queueId: short.e,
    sysFlag: short.f,
    bornTimestamp: short.g,
    flag: short.h,
    properties: short.i,
    reconsumeTimes: short.j,
    unitMode: short.k,
    maxReconsumeTimes: short.l,
    batch: short.m,
    bname: short.n,
  };
}

/** The V2 form of a common header. */
export function toSendMessageV2(
  long: HeaderInput<typeof sendMessageHeader.fields>,
): HeaderInput<typeof sendMessageV2Header.fields> {
  return {
    a: long.producerGroup,
    b: long.topic,
    c: long.defaultTopic,
    d: long.defaultTopicQueueNums,
    e: long.queueId,
    f: long.sysFlag,
    g: long.bornTimestamp,
    h: long.flag,
    i: long.properties,
    j: long.reconsumeTimes,
    k: long.unitMode,
    l: long.maxReconsumeTimes,
    m: long.batch,
    n: long.bname,
  };
}

/** The header fields of a V2 send, as the table above would make them; written out, because every send passes here. */
export function encodeSendMessageV2(long: HeaderInput<typeof sendMessageHeader.fields>): Record<string, string> {
  const { properties, reconsumeTimes, unitMode, maxReconsumeTimes, batch, bname } = long;
  const extFields: Record<string, string> = {
    a: long.producerGroup,
    b: long.topic,
    c: long.defaultTopic,
    d: String(long.defaultTopicQueueNums),
    e: String(long.queueId),
    f: String(long.sysFlag),
    g: String(long.bornTimestamp),
    h: String(long.flag),
  };
  if (properties !== undefined) extFields['i'] = properties;
  if (reconsumeTimes !== undefined) extFields['j'] = String(reconsumeTimes);
  if (unitMode !== undefined) extFields['k'] = String(unitMode);
  if (maxReconsumeTimes !== undefined) extFields['l'] = String(maxReconsumeTimes);
  if (batch !== undefined) extFields['m'] = String(batch);
  if (bname !== undefined) extFields['n'] = bname;
  return extFields;
}

/** Success of any send. MSG_REGION and TRACE_ON are on every send response, errors included. */
export const sendMessageResponseHeader = defineHeader({
  /** offsetMsgId, or several joined by commas. */
  msgId: field.string,
  queueId: field.int,
  queueOffset: field.long,
  transactionId: optional.string,
  batchUniqId: optional.string,
  recallHandle: optional.string,
  MSG_REGION: optional.string,
  TRACE_ON: optional.string,
});
export type SendMessageResponseHeader = HeaderOf<typeof sendMessageResponseHeader.fields>;

/** PUSH_REPLY_MESSAGE_TO_CLIENT 326, broker to requester: the reply as it was sent, its body in the frame's. */
export const replyMessageHeader = defineHeader({
  ...sendFields,
  /** `ip:port`, at times with a name or slash in front. */
  bornHost: field.string,
  storeHost: field.string,
  storeTimestamp: field.long,
});
export type ReplyMessageHeader = HeaderOf<typeof replyMessageHeader.fields>;

/** RECALL_MESSAGE: the handle is the one that the send was answered with. */
export const recallMessageHeader = defineHeader({
  producerGroup: optional.string,
  topic: field.string,
  recallHandle: field.string,
  bname: optional.string,
});
export const recallMessageResponseHeader = defineHeader({ msgId: field.string });

/** Bits of a pull's sysFlag. Upstream: `PullSysFlag`. */
export const PULL_SYS_FLAG = { COMMIT_OFFSET: 1, SUSPEND: 2, SUBSCRIPTION: 4, CLASS_FILTER: 8, LITE_PULL: 16 } as const;

/** PULL_MESSAGE 11 and LITE_PULL_MESSAGE 361. */
export const pullMessageHeader = defineHeader({
  consumerGroup: field.string,
  topic: field.string,
  queueId: field.int,
  queueOffset: field.long,
  maxMsgNums: field.int,
  /** {@link PULL_SYS_FLAG} */
  sysFlag: field.int,
  commitOffset: field.long,
  suspendTimeoutMillis: field.long,
  subscription: optional.string,
  /** A time of the client: milliseconds in Java, nanoseconds in Go. */
  subVersion: field.rank,
  /** TAG (default) or SQL92. */
  expressionType: optional.string,
  maxMsgBytes: optional.int,
  bname: optional.string,
});
export type PullMessageHeader = HeaderOf<typeof pullMessageHeader.fields>;
/** The same table: a lite pull differs by its code and a bit of sysFlag. */
export const litePullMessageHeader = pullMessageHeader;

export const pullMessageResponseHeader = defineHeader({
  suggestWhichBrokerId: field.long,
  nextBeginOffset: field.long,
  minOffset: field.long,
  maxOffset: field.long,
  offsetDelta: optional.long,
  topicSysFlag: optional.int,
  groupSysFlag: optional.int,
  forbiddenType: optional.int,
});
export type PullMessageResponseHeader = HeaderOf<typeof pullMessageResponseHeader.fields>;

/** QUERY_MESSAGE 12. */
export const queryMessageHeader = defineHeader({
  topic: field.string,
  key: field.string,
  maxNum: field.int,
  beginTimestamp: field.long,
  endTimestamp: field.long,
  indexType: optional.string,
  lastKey: optional.string,
  /** "true": the key is a UNIQ_KEY and maxNum becomes the broker's own bound. Not a field upstream but a bare extField. */
  _UNIQUE_KEY_QUERY: optional.string,
});
export type QueryMessageHeader = HeaderOf<typeof queryMessageHeader.fields>;

export const queryMessageResponseHeader = defineHeader({
  indexLastUpdateTimestamp: field.long,
  indexLastUpdatePhyoffset: field.long,
});

/** VIEW_MESSAGE_BY_ID 33. */
export const viewMessageByIdHeader = defineHeader({ offset: field.long, topic: optional.string });

/** QUERY_CONSUMER_OFFSET 14. */
export const queryConsumerOffsetHeader = defineHeader({
  consumerGroup: field.string,
  topic: field.string,
  queueId: field.int,
  setZeroIfNotFound: optional.boolean,
  bname: optional.string,
});

/** The `offset` that 14, 29, 30 and 31 answer. */
export const offsetResponseHeader = defineHeader({ offset: field.long });
export const queryConsumerOffsetResponseHeader = offsetResponseHeader;
export const searchOffsetByTimestampResponseHeader = offsetResponseHeader;
export const getMaxOffsetResponseHeader = offsetResponseHeader;
export const getMinOffsetResponseHeader = offsetResponseHeader;

/** UPDATE_CONSUMER_OFFSET 15, usually one-way. */
export const updateConsumerOffsetHeader = defineHeader({
  consumerGroup: field.string,
  topic: field.string,
  queueId: field.int,
  commitOffset: field.long,
  bname: optional.string,
});

/** SEARCH_OFFSET_BY_TIMESTAMP 29. */
export const searchOffsetByTimestampHeader = defineHeader({
  topic: field.string,
  queueId: field.int,
  timestamp: field.long,
  /** LOWER (default) or UPPER, in any case. */
  boundaryType: optional.string,
  bname: optional.string,
});

/** GET_MAX_OFFSET 30. */
export const getMaxOffsetHeader = defineHeader({
  topic: field.string,
  queueId: field.int,
  /** Absent means true. */
  committed: optional.boolean,
  bname: optional.string,
});

/** GET_MIN_OFFSET 31. */
export const getMinOffsetHeader = defineHeader({ topic: field.string, queueId: field.int, bname: optional.string });

/** GET_EARLIEST_MSG_STORETIME 32. */
export const getEarliestMsgStoretimeHeader = defineHeader({
  topic: field.string,
  queueId: field.int,
  bname: optional.string,
});
export const getEarliestMsgStoretimeResponseHeader = defineHeader({ timestamp: field.long });

/** CONSUMER_SEND_MSG_BACK 36. */
export const consumerSendMsgBackHeader = defineHeader({
  /** commitLogOffset of the message. */
  offset: field.long,
  group: field.string,
  /** Below 0: to the dead letters at once. 0: the next level. */
  delayLevel: field.int,
  originMsgId: optional.string,
  originTopic: optional.string,
  unitMode: optional.boolean,
  maxReconsumeTimes: optional.int,
  bname: optional.string,
});

/** END_TRANSACTION 37, one-way in practice. `commitOrRollback`: 0 unknown, 8 commit, 12 rollback. */
export const endTransactionHeader = defineHeader({
  topic: optional.string,
  producerGroup: field.string,
  tranStateTableOffset: field.long,
  commitLogOffset: field.long,
  commitOrRollback: field.int,
  fromTransactionCheck: optional.boolean,
  msgId: field.string,
  transactionId: optional.string,
  bname: optional.string,
});

/** CHECK_TRANSACTION_STATE 39, broker to client, one-way. */
export const checkTransactionStateHeader = defineHeader({
  tranStateTableOffset: field.long,
  commitLogOffset: field.long,
  msgId: optional.string,
  transactionId: optional.string,
  offsetMsgId: optional.string,
  topic: optional.string,
  bname: optional.string,
});
