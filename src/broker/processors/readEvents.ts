/**
 * READ_EVENTS 18603: the records of event topics in the order of the log, page by page, in either direction, from and up to
 * a position or a time; or those that carry some keys. A forwards read that finds nothing is held for as long as it asks.
 * Whoever goes on from earlier pages is refused with POSITION_LOST when the log has lost some of them since.
 */
import { BrokerError } from '../../base/errors.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import {
  decodeReadEventsRequest,
  encodeReadEventsResponse,
  type ReadEventsRequest,
  type ReadEventsResponse,
  readEventsHeader,
} from '../../protocol/headers/readEvents.js';
import { isReadable } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { Peer, ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import { isEventTopic } from '../eventTopics.js';
import type { HeldReads } from '../heldReads.js';
import type { Topics } from '../topics.js';

/** Bounds of one page and one request, whatever is asked for. */
const PAGE_COUNT_MAX = 10_000;
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
const NAMES_MAX = 1000;
const HOLD_MAX_MILLIS = 60_000;
/** What a held read costs beside its texts. */
const HELD_READ_BYTES = 1024;

export interface ReadEventsParts {
  identity: BrokerIdentity;
  topics: Topics;
  heldReads: HeldReads;
  store: Pick<MessageStore, 'lowestEndSince' | 'readByKeys' | 'readTopics' | 'visibleEnd'>;
  config: Pick<BrokerConfig, 'brokerPermission'>;
}

export function readEventsRows(parts: ReadEventsParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.READ_EVENTS,
      header: readEventsHeader,
      lane: 'pull',
      handle: ({ header, body, peer }) => answer(decodeReadEventsRequest(header, body), body.length, peer, parts),
    }),
  ];
}

function answer(
  request: ReadEventsRequest,
  sizeBytes: number,
  peer: Peer,
  parts: ReadEventsParts,
): ResponseFields | Promise<ResponseFields> {
  const { identity, config, heldReads } = parts;
  if (!isReadable(config.brokerPermission)) {
    throw refusal(RESPONSE_CODE.NO_PERMISSION, `the broker[${identity.host}] pulling message is forbidden`);
  }
  assertBounds(request);
  assertKnown(request, parts);
  const first = read(request, parts);
  const holdMillis = Math.min(request.holdMillis ?? 0, HOLD_MAX_MILLIS);
  if (!isEmpty(first) || holdMillis <= 0 || request.direction === 'backwards' || request.until !== undefined) {
    return encodeReadEventsResponse(first);
  }
  // What was looked through once is not looked through again.
  let from = first.end.commitLogOffset;
  const held = heldReads.hold({
    topics: topicsWaitedFor(request),
    timeoutMillis: holdMillis,
    sizeBytes: HELD_READ_BYTES + 2 * sizeBytes,
    peer,
    run(isLast) {
      const page = read({ ...request, from, fromTime: undefined }, parts);
      from = page.end.commitLogOffset;
      return isEmpty(page) && !isLast ? undefined : encodeReadEventsResponse(page);
    },
  });
  return held ?? encodeReadEventsResponse(first);
}

const isEmpty = ({ records, next }: ReadEventsResponse) => records.length === 0 && next === undefined;

/** Undefined: any event topic. */
function topicsWaitedFor({ topics, keys }: ReadEventsRequest): readonly string[] | undefined {
  if (keys.length > 0) return [...new Set(keys.map(({ topic }) => topic))];
  return topics.length > 0 ? topics : undefined;
}

function assertBounds({ topics, keys, fromTime, untilTime }: ReadEventsRequest): void {
  if (topics.length > NAMES_MAX || keys.length > NAMES_MAX) {
    const remark = `a read names at most ${NAMES_MAX} topics and keys, this one ${topics.length} and ${keys.length}`;
    throw refusal(RESPONSE_CODE.INVALID_PARAMETER, remark);
  }
  if (keys.length > 0 && (fromTime !== undefined || untilTime !== undefined)) {
    throw refusal(RESPONSE_CODE.INVALID_PARAMETER, 'a read of keys has no bounds of time: read them and compare');
  }
}

/** Does the log still hold, unchanged, everything below the position that the asker knows? */
function assertKnown({ known }: ReadEventsRequest, { store }: ReadEventsParts): void {
  if (!known) return;
  const { commitLogOffset: end, generation } = store.visibleEnd();
  const { commitLogOffset: knownEnd } = known;
  const heldUpTo = known.generation < generation ? store.lowestEndSince(known.generation) : end;
  if (known.generation <= generation && (heldUpTo === undefined || knownEnd <= heldUpTo)) return;
  const what = `position ${knownEnd} of generation ${known.generation} of the log`;
  throw refusal(
    RESPONSE_CODE.POSITION_LOST,
    known.generation < generation
      ? `${what}: a later start found it cut at ${heldUpTo}, what lay behind is lost`
      : `${what}: it has not come so far, it ends at ${end} of generation ${generation}`,
  );
}

function read(request: ReadEventsRequest, { topics, store }: ReadEventsParts): ReadEventsResponse {
  const { direction, until, fromTime, untilTime } = request;
  const bounds = {
    direction,
    maxCount: Math.max(1, Math.min(request.maxCount, PAGE_COUNT_MAX)),
    maxBytes: Math.max(1, Math.min(request.maxBytes, PAGE_BYTES_MAX)),
    ...(request.from !== undefined && { from: Math.max(0, request.from) }),
    // The end of an answer never claims more than what could be read.
    ...(until !== undefined && { until: upTo(until, store.visibleEnd().commitLogOffset) }),
  };
  if (request.keys.length > 0) {
    const names = new Set(request.keys.map(({ topic }) => topic));
    for (const topic of names) assertEventTopic(topic, topics);
    const { end, next, records } = store.readByKeys({ keys: request.keys, ...bounds });
    return { end, next, records: joined(records) };
  }
  for (const topic of request.topics) assertEventTopic(topic, topics);
  const page = store.readTopics({
    topics: request.topics.length > 0 ? [...new Set(request.topics)] : eventTopicsOf(topics),
    ...bounds,
    ...(fromTime !== undefined && { fromTime }),
    ...(untilTime !== undefined && { untilTime }),
  });
  if (!page) throw refusal(RESPONSE_CODE.SYSTEM_BUSY, 'a queue is being set right: ask again');
  return { end: page.end, next: page.next, records: joined(page.records) };
}

const upTo = (position: CommitLogOffset, end: CommitLogOffset) => Math.max(0, Math.min(position, end));

function eventTopicsOf(topics: Topics): string[] {
  const names: string[] = [];
  for (const config of topics.all()) if (isEventTopic(config) && isReadable(config.perm)) names.push(config.topicName);
  return names;
}

function assertEventTopic(topic: string, topics: Topics): void {
  const config = topics.get(topic);
  if (!config) throw refusal(RESPONSE_CODE.TOPIC_NOT_EXIST, `topic[${topic}] not exist, apply first please!`);
  if (!isReadable(config.perm)) {
    throw refusal(RESPONSE_CODE.NO_PERMISSION, `the topic[${topic}] pulling message is forbidden`);
  }
  if (isEventTopic(config)) return;
  throw refusal(RESPONSE_CODE.INVALID_PARAMETER, `topic ${topic} is not an event topic: consume its queues instead`);
}

function joined(records: readonly Buffer[]): Buffer {
  const [first] = records;
  return records.length === 1 && first ? first : Buffer.concat(records);
}

const refusal = (code: number, remark: string) => new BrokerError(code, remark, `read refused: ${remark}`);
