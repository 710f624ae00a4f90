/**
 * Topics as tools see them: create and change (17, several 18), delete (215), list (21, 305), one (351). A change is
 * answered when the name servers know it. Upstream: `AdminBrokerProcessor`.
 */
import { BrokerError, isFoldlogError, messageOf } from '../../base/errors.js';
import type { DataVersion, TopicConfig } from '../../protocol/bodies.js';
import {
  decodeDataVersion,
  decodeTopicConfigList,
  encodeTopicConfig,
  encodeTopicConfigTable,
  encodeTopicList,
  isSameDataVersion,
  topicConfigOf,
} from '../../protocol/bodies.js';
import {
  deleteTopicInBrokerHeader,
  getAllTopicConfigHeader,
  getAllTopicConfigResponseHeader,
  getTopicConfigHeader,
  updateAndCreateTopicHeader,
} from '../../protocol/headers/admin.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { topicDefect } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { EventTopics } from '../eventTopics.js';
import { EVENTS_ATTRIBUTE, eventQueuesOf, isEventTopic } from '../eventTopics.js';
import { changedAttributes } from '../topicAttributes.js';
import type { Topics } from '../topics.js';

const QUEUES_MAX = 16_384;
const PERM_MAX = 15;
/** Entries of one page of GET_ALL_TOPIC_CONFIG. */
const PAGE_MAX = 2000;

export interface AdminTopicParts {
  identity: BrokerIdentity;
  topics: Topics;
  eventTopics: EventTopics;
  offsets: ConsumerOffsets;
  store: Pick<MessageStore, 'deleteTopic'>;
}

const DONE: ResponseFields = { code: RESPONSE_CODE.SUCCESS };

export function adminTopicRows(parts: AdminTopicParts): ProcessorRow[] {
  const { identity, topics, eventTopics, offsets, store } = parts;
  return [
    processor({
      code: REQUEST_CODE.UPDATE_AND_CREATE_TOPIC,
      header: updateAndCreateTopicHeader,
      lane: 'admin',
      async handle({ header }) {
        const { topic: topicName, readQueueNums, writeQueueNums, perm, topicFilterType } = header;
        const wanted = topicConfigOf(topicName, {
          readQueueNums,
          writeQueueNums,
          perm,
          topicFilterType,
          topicSysFlag: header.topicSysFlag ?? 0,
          order: header.order ?? false,
        });
        await put(parts, admitted(topics, wanted, header.attributes));
        await topics.settled(topicName);
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.UPDATE_AND_CREATE_TOPIC_LIST,
      header: emptyHeader,
      lane: 'admin',
      async handle({ body }) {
        const list = decodeTopicConfigList(body);
        // All of them are looked at before the first is taken.
        const wanted = list.map((config) => admitted(topics, config, attributeChanges(config.attributes)));
        for (const config of wanted) await put(parts, config);
        await Promise.all(wanted.map(({ topicName }) => topics.settled(topicName)));
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.DELETE_TOPIC_IN_BROKER,
      header: deleteTopicInBrokerHeader,
      lane: 'admin',
      handle({ header: { topic } }) {
        assertTopicName(topics, topic);
        const known = topics.get(topic);
        if (known && isEventTopic(known) && !eventTopics.isEmpty(topic)) {
          const remark = `topic ${topic} is an event topic that holds events: it cannot be deleted`;
          return { code: RESPONSE_CODE.NO_PERMISSION, remark };
        }
        topics.delete(topic);
        offsets.removeTopic(topic);
        store.deleteTopic(topic);
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_TOPIC_CONFIG,
      header: getAllTopicConfigHeader,
      lane: 'admin',
      handle({ header: { topicSeq, maxTopicNum, dataVersion } }) {
        const table = topics.snapshot();
        const totalTopicNum = table.topicConfigTable.size;
        const page =
          topicSeq === undefined && maxTopicNum === undefined
            ? table.topicConfigTable
            : pageOf(table.topicConfigTable, {
                start: isSameVersionText(dataVersion, table.dataVersion) ? (topicSeq ?? 0) : 0,
                count: maxTopicNum,
              });
        return {
          code: RESPONSE_CODE.SUCCESS,
          extFields: getAllTopicConfigResponseHeader.encode({ totalTopicNum }),
          body: encodeTopicConfigTable({ dataVersion: table.dataVersion, topicConfigTable: page }),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_TOPIC_CONFIG,
      header: getTopicConfigHeader,
      lane: 'admin',
      handle({ header: { topic } }) {
        const known = topics.get(topic);
        if (known) return { code: RESPONSE_CODE.SUCCESS, body: encodeTopicConfig(known) };
        return { code: RESPONSE_CODE.TOPIC_NOT_EXIST, remark: `No topic in this broker. topic: ${topic}` };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
      header: emptyHeader,
      lane: 'admin',
      handle: () => ({
        code: RESPONSE_CODE.SUCCESS,
        body: encodeTopicList({ topicList: [...topics.systemTopics()], brokerAddr: identity.addressText }),
      }),
    }),
  ];
}

/** The topic as it is to be, unless it may not. `changes`: of its attributes, as UPDATE_AND_CREATE_TOPIC writes them. */
function admitted(topics: Topics, asked: TopicConfig, changes: string | undefined): TopicConfig {
  assertTopicName(topics, asked.topicName);
  const known = topics.get(asked.topicName);
  const wanted = { ...asked, attributes: changedAttributes(known?.attributes ?? {}, changes) };
  assertQueues(wanted);
  if (known && isEventTopic(known)) assertQueuesKept(known, wanted);
  return wanted;
}

async function put({ topics, eventTopics }: AdminTopicParts, wanted: TopicConfig): Promise<void> {
  const known = topics.get(wanted.topicName);
  const becomesEventTopic = wanted.attributes[EVENTS_ATTRIBUTE] === 'true' && !(known && isEventTopic(known));
  if (becomesEventTopic) await marked(eventTopics, wanted);
  else topics.create(wanted);
}

/** In a list each attribute is a member: `+key` or `-key` as in upstream's files, or the plain key as topics have it. */
function attributeChanges(attributes: Readonly<Record<string, string>>): string | undefined {
  const changes = Object.entries(attributes).map(([key, value]) => {
    if (key.startsWith('-')) return key;
    return `${key.startsWith('+') ? key : `+${key}`}=${value}`;
  });
  return changes.length > 0 ? changes.join(',') : undefined;
}

function assertTopicName(topics: Topics, topic: string): void {
  const defect =
    topicDefect(topic) ?? (topics.isSystem(topic) ? `The topic[${topic}] is conflict with system topic.` : undefined);
  if (defect !== undefined) throw refusal(defect);
}

function assertQueues({ topicName, readQueueNums, writeQueueNums, perm }: TopicConfig): void {
  const isCount = (count: number) => count >= 1 && count <= QUEUES_MAX;
  if (!isCount(readQueueNums) || !isCount(writeQueueNums)) {
    throw refusal(`topic ${topicName} needs 1 to ${QUEUES_MAX} queues, not ${readQueueNums} and ${writeQueueNums}`);
  }
  if (perm < 0 || perm > PERM_MAX)
    throw refusal(`perm ${perm} of topic ${topicName} is not a number from 0 to ${PERM_MAX}`);
}

/** A stream stays in its queue because the number of queues stays. */
function assertQueuesKept(known: TopicConfig, wanted: TopicConfig): void {
  const queues = eventQueuesOf(known);
  if (wanted.readQueueNums === queues && wanted.writeQueueNums === queues) return;
  throw refusal(`event topic ${known.topicName} keeps its ${queues} queues: each stream has its place in them`);
}

async function marked(eventTopics: EventTopics, wanted: TopicConfig): Promise<void> {
  if (wanted.readQueueNums !== wanted.writeQueueNums) {
    throw refusal(`event topic ${wanted.topicName} needs as many read queues as write queues`);
  }
  try {
    await eventTopics.mark(wanted);
  } catch (thrown) {
    if (!isFoldlogError(thrown) || thrown.code !== 'LIFECYCLE') throw thrown;
    throw new BrokerError(RESPONSE_CODE.NO_PERMISSION, messageOf(thrown), messageOf(thrown));
  }
}

/** Entries sorted by name, from a place on. */
export function pageOf<Value>(
  table: ReadonlyMap<string, Value>,
  { start, count = PAGE_MAX }: { start: number; count: number | undefined },
): Map<string, Value> {
  const sorted = [...table].sort(([left], [right]) => (left < right ? -1 : 1));
  const from = Math.max(0, start);
  return new Map(sorted.slice(from, from + Math.max(1, Math.min(count, PAGE_MAX))));
}

/** Is the version that a client read its last page at still the table's? */
export function isSameVersionText(text: string | undefined, version: DataVersion): boolean {
  if (text === undefined || text.trim() === '') return false;
  try {
    return isSameDataVersion(decodeDataVersion(Buffer.from(text)), version);
  } catch {
    return false;
  }
}

const refusal = (remark: string) => new BrokerError(RESPONSE_CODE.INVALID_PARAMETER, remark, remark);
