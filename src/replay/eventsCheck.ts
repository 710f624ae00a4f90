/**
 * Does everything that event topics hold still decode, upcast and validate? Reads each queue from its beginning to the
 * end that it has when the check begins, and counts by topic, stored type and stored version. Changes nothing.
 */
import type { Clock } from '../base/clock.js';
import type { QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import { PullConsumer } from '../client/pullConsumer.js';
import type { Session } from '../client/session.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import { EVENTS_ATTRIBUTE } from '../eventstore/eventTopics.js';
import { EVENT_PROPERTY } from '../protocol/messageProperties.js';
import { MASTER_ID } from '../protocol/names.js';
import { isRemovedMessage } from '../protocol/removedMessage.js';
import { ReplayQueue } from './replayQueue.js';

/** The first event of its kind that cannot be read, or is not known. */
export interface BadEvent {
  brokerName: string;
  queueId: number;
  queueOffset: QueueOffset;
  commitLogOffset: number;
  eventId: string;
  reason: string;
}

/** Events of one topic, stored type and stored version. */
export interface CheckedEvents {
  topic: string;
  /** Empty for a message without a tag. */
  type: string;
  /** NaN for one that is no number. */
  version: number;
  /** The type of the class that reads them; undefined when no class does. */
  readAs: string | undefined;
  count: number;
  ok: number;
  invalid: number;
  unknown: number;
  /** Records that a repair of the log put in the place of lost ones. */
  lost: number;
  firstBad: BadEvent | undefined;
}

export interface EventsCheckOptions {
  session: Session;
  codec: EventCodec;
  topics: readonly string[];
  onProgress?: (passed: number, total: number) => void;
  clock: Clock;
  logger: Logger;
  signal?: AbortSignal;
}

const PAGE_SIZE = 512;
/** Its pulls name it; it has no members and records nothing. */
const GROUP = 'foldlog-check';
/** Kinds beyond these are counted in one row of the topic, of type `…`. */
const KINDS_MAX = 10_000;
const REST = '…';
const REPORT_EVERY = 1_000;

/** The topics that the brokers of the cluster have marked as event topics, sorted. */
export async function findEventTopics(session: Session): Promise<string[]> {
  const found = new Set<string>();
  const { brokerAddrTable } = await session.nameServers.clusterInfo();
  for (const { brokerAddrs } of brokerAddrTable.values()) {
    const address = brokerAddrs.get(MASTER_ID);
    if (address === undefined) continue;
    for (const [topic, { attributes }] of await session.adminCalls.topicConfigs(address)) {
      if (attributes[EVENTS_ATTRIBUTE] === 'true') found.add(topic);
    }
  }
  return [...found].sort();
}

/** Sorted by topic, type and version. Throws TOPIC_NOT_FOUND; REQUEST_TIMEOUT when a queue does not answer any more. */
export async function checkEvents(options: EventsCheckOptions): Promise<CheckedEvents[]> {
  const { session, codec, topics, onProgress, clock, logger, signal = new AbortController().signal } = options;
  const pull = new PullConsumer({ session, group: GROUP });
  const queues: ReplayQueue[] = [];
  for (const topic of new Set(topics)) {
    for (const queue of await pull.fetchQueues(topic)) {
      const [fromOffset, toOffset] = await Promise.all([pull.minOffset(queue), pull.maxOffset(queue)]);
      const range = { fromOffset: Math.max(0, fromOffset), toOffset: Math.max(0, fromOffset, toOffset) };
      queues.push(new ReplayQueue({ pull, queue, filter: '*', ...range, pageSize: PAGE_SIZE, clock, logger, signal }));
    }
  }
  const total = queues.reduce((sum, { fromOffset, toOffset }) => sum + toOffset - fromOffset, 0);
  const kinds = new Map<string, CheckedEvents>();
  let passed = 0;
  for (const queue of queues) {
    while (await queue.fill()) {
      const message = queue.head;
      queue.take();
      if (!message) break;
      note(kinds, message, codec);
      passed += 1;
      if (passed % REPORT_EVERY === 0) onProgress?.(passed, total);
    }
  }
  onProgress?.(total, total);
  return [...kinds.values()].sort(
    (one, other) =>
      compare(one.topic, other.topic) || compare(one.type, other.type) || compare(one.version, other.version),
  );
}

function note(kinds: Map<string, CheckedEvents>, message: ReceivedMessage, codec: EventCodec): void {
  const { originalTopic: topic, properties, tags = '' } = message;
  const version = Number(properties[EVENT_PROPERTY.SCHEMA_VERSION] ?? 1);
  const key = `${topic} ${version} ${tags}`;
  const isNew = !kinds.has(key);
  const kind =
    isNew && kinds.size >= KINDS_MAX
      ? kindOf(kinds, `${topic} ${REST}`, { topic, type: REST, version: 0, readAs: undefined })
      : kindOf(kinds, key, { topic, type: tags, version, readAs: codec.typeOf(tags) });
  kind.count += 1;
  const reason = defectOf(kind, message, codec);
  if (reason === undefined || kind.firstBad) return;
  const { brokerName, queueId, queueOffset, commitLogOffset, msgId: eventId } = message;
  kind.firstBad = { brokerName, queueId, queueOffset, commitLogOffset, eventId, reason };
}

/** Counts the message; what is wrong with it, if anything. */
function defectOf(kind: CheckedEvents, message: ReceivedMessage, codec: EventCodec): string | undefined {
  if (isRemovedMessage(message)) {
    kind.lost += 1;
    return 'lost, and removed by a repair of the log';
  }
  if (message.defect) {
    kind.invalid += 1;
    return message.defect.message;
  }
  const decoded = codec.decode(message, 0);
  switch (decoded.status) {
    case 'EVENT':
      kind.ok += 1;
      return undefined;
    case 'UNKNOWN_TYPE':
      kind.unknown += 1;
      return 'no class has this type';
    case 'INVALID':
      kind.invalid += 1;
      return decoded.reasons.join('; ');
  }
}

function kindOf(
  kinds: Map<string, CheckedEvents>,
  key: string,
  names: Pick<CheckedEvents, 'readAs' | 'topic' | 'type' | 'version'>,
): CheckedEvents {
  let kind = kinds.get(key);
  if (!kind) {
    kind = { ...names, count: 0, ok: 0, invalid: 0, unknown: 0, lost: 0, firstBad: undefined };
    kinds.set(key, kind);
  }
  return kind;
}

const compare = <T extends string | number>(one: T, other: T) => (one < other ? -1 : one > other ? 1 : 0);
