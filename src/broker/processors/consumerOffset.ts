/**
 * Offsets: of groups (QUERY_CONSUMER_OFFSET 14, UPDATE_CONSUMER_OFFSET 15) and of queues (SEARCH_OFFSET_BY_TIMESTAMP
 * 29, GET_MAX_OFFSET 30, GET_MIN_OFFSET 31, GET_EARLIEST_MSG_STORETIME 32). Upstream: `ConsumerManageProcessor`,
 * `AdminBrokerProcessor`.
 *
 * Differs from RocketMQ: a commit beyond the end of its queue is refused; upstream records it, and the group then
 * skips what is stored up to there.
 */
import { readInt64 } from '../../base/bytes.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/logger.js';
import {
  getEarliestMsgStoretimeHeader,
  getEarliestMsgStoretimeResponseHeader,
  getMaxOffsetHeader,
  getMinOffsetHeader,
  offsetResponseHeader,
  queryConsumerOffsetHeader,
  searchOffsetByTimestampHeader,
  updateConsumerOffsetHeader,
} from '../../protocol/headers/messaging.js';
import { RECORD_AT } from '../../protocol/messageRecord.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { isOneway } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';

export interface ConsumerOffsetParts {
  topics: Topics;
  groups: SubscriptionGroups;
  offsets: ConsumerOffsets;
  store: Pick<MessageStore, 'offsetByTime' | 'queueRange' | 'readQueue' | 'storeTimeAt' | 'visibleEnd'>;
  clock: Clock;
  logger: Logger;
  /** Bytes before the log's end that count as in memory. */
  recentBytes: number;
}

/** Refused one-way commits are logged at most this often: a client that is wrong once is wrong every five seconds. */
const LOG_PERIOD_MILLIS = 10_000;

const offsetIs = (offset: number): ResponseFields => ({
  code: RESPONSE_CODE.SUCCESS,
  extFields: offsetResponseHeader.encode({ offset }),
});

export function consumerOffsetRows(parts: ConsumerOffsetParts): ProcessorRow[] {
  const { store, topics } = parts;
  const commits = new Commits(parts);
  return [
    processor({
      code: REQUEST_CODE.QUERY_CONSUMER_OFFSET,
      header: queryConsumerOffsetHeader,
      lane: 'consumer',
      handle({ header: { consumerGroup, topic, queueId, setZeroIfNotFound } }) {
        const known = parts.offsets.query(consumerGroup, topic, queueId);
        if (known !== undefined) return offsetIs(known);
        if (setZeroIfNotFound !== false && isYoung(parts, topic, queueId)) return offsetIs(0);
        return {
          code: RESPONSE_CODE.QUERY_NOT_FOUND,
          remark: 'Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first',
        };
      },
    }),
    processor({
      code: REQUEST_CODE.UPDATE_CONSUMER_OFFSET,
      header: updateConsumerOffsetHeader,
      lane: 'consumer',
      handle({ header, command, peer }) {
        const response = commits.commit(header);
        if (response.code !== RESPONSE_CODE.SUCCESS && isOneway(command)) {
          commits.logRefusal(header, peer.id, response.remark);
        }
        return response;
      },
    }),
    processor({
      code: REQUEST_CODE.SEARCH_OFFSET_BY_TIMESTAMP,
      header: searchOffsetByTimestampHeader,
      lane: 'admin',
      handle({ header: { topic, queueId, timestamp, boundaryType } }) {
        const boundary = boundaryType?.toUpperCase() === 'UPPER' ? 'UPPER' : 'LOWER';
        return offsetIs(topics.get(topic) ? store.offsetByTime(topic, queueId, timestamp, boundary) : 0);
      },
    }),
    processor({
      code: REQUEST_CODE.GET_MAX_OFFSET,
      header: getMaxOffsetHeader,
      lane: 'admin',
      handle: ({ header: { topic, queueId } }) => offsetIs(store.queueRange(topic, queueId).maxOffset),
    }),
    processor({
      code: REQUEST_CODE.GET_MIN_OFFSET,
      header: getMinOffsetHeader,
      lane: 'admin',
      handle: ({ header: { topic, queueId } }) => offsetIs(store.queueRange(topic, queueId).minOffset),
    }),
    processor({
      code: REQUEST_CODE.GET_EARLIEST_MSG_STORETIME,
      header: getEarliestMsgStoretimeHeader,
      lane: 'admin',
      handle({ header: { topic, queueId } }) {
        const { minOffset, maxOffset } = store.queueRange(topic, queueId);
        const timestamp = maxOffset > minOffset ? store.storeTimeAt(topic, queueId, minOffset) : -1;
        return {
          code: RESPONSE_CODE.SUCCESS,
          extFields: getEarliestMsgStoretimeResponseHeader.encode({ timestamp }),
        };
      },
    }),
  ];
}

/**
 * Does the queue still begin at 0, with its first message near the log's end? Then a new group starts there, whatever
 * consumeFromWhere says: upstream answers so, and clients count on it.
 */
function isYoung({ store, recentBytes }: ConsumerOffsetParts, topic: string, queueId: number): boolean {
  if (store.queueRange(topic, queueId).minOffset > 0) return false;
  const [first] = store.readQueue(topic, queueId, 0, 1, 1).records;
  if (!first) return false;
  return store.visibleEnd().commitLogOffset - readInt64(first, RECORD_AT.COMMIT_LOG_OFFSET) <= recentBytes;
}

interface Commit {
  consumerGroup: string;
  topic: string;
  queueId: number;
  commitOffset: number;
}

class Commits {
  readonly #parts: ConsumerOffsetParts;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ConsumerOffsetParts) {
    this.#parts = parts;
  }

  commit({ consumerGroup, topic, queueId, commitOffset }: Commit): ResponseFields {
    const { groups, topics, offsets, store } = this.#parts;
    if (!groups.find(consumerGroup)) {
      return { code: RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, remark: `Group ${consumerGroup} not exist!` };
    }
    const config = topics.get(topic);
    if (!config) return { code: RESPONSE_CODE.TOPIC_NOT_EXIST, remark: `Topic ${topic} not exist!` };
    const isQueue = queueId >= 0 && queueId < Math.max(config.readQueueNums, config.writeQueueNums);
    if (commitOffset < 0 || (!isQueue && store.queueRange(topic, queueId).maxOffset === 0)) {
      return {
        code: RESPONSE_CODE.INVALID_PARAMETER,
        remark: `commit of queueId[${queueId}] offset[${commitOffset}] is illegal, topic:[${topic}]`,
      };
    }
    const outcome = offsets.commit(consumerGroup, topic, queueId, commitOffset);
    switch (outcome.status) {
      case 'COMMITTED':
        return { code: RESPONSE_CODE.SUCCESS };
      case 'RESET_PENDING':
        return { code: RESPONSE_CODE.SUCCESS, remark: 'Offset has been previously reset' };
      case 'BEYOND_END':
        return {
          code: RESPONSE_CODE.SYSTEM_ERROR,
          remark: `offset ${commitOffset} lies beyond the end ${outcome.maxOffset} of queue ${queueId} of ${topic}`,
        };
    }
  }

  logRefusal(commit: Commit, peer: string, remark: string | undefined): void {
    const { clock, logger } = this.#parts;
    const now = clock.monotonic();
    if (now - this.#loggedAt < LOG_PERIOD_MILLIS) return;
    this.#loggedAt = now;
    logger.warn({ ...commit, peer }, `commit refused: ${remark}`);
  }
}
