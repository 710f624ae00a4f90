/**
 * APPEND_EVENTS 18601: foldlog's guarded append. Look-up of the append id, check of expected versions and condition,
 * numbering and storing are one synchronous section of the store; the answer, also a refusal, rests on records and so
 * leaves only when they are readable. FLUSH_DISK_TIMEOUT means unknown: the caller repeats with the same append id.
 */
import { BrokerError } from '../../base/errors.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { TopicConfig } from '../../protocol/bodies.js';
import type { AppendEventsRequest, EventToAppend } from '../../protocol/headers/events.js';
import {
  APPEND_ID_MAX_LENGTH,
  appendEventsHeader,
  decodeAppendEventsRequest,
  encodeAppendEventsOutcome,
} from '../../protocol/headers/events.js';
import { decodeProperties, PROPERTY } from '../../protocol/messageProperties.js';
import { isWritable } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { Peer, ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { EventToStore, GuardedAppend, GuardedOutcome } from '../../store/storeTypes.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { EventTopics } from '../eventTopics.js';
import { queueOfStream } from '../eventTopics.js';
import { failedTurnResponse, refusedWhenUnavailable } from '../messageIntake.js';
import type { Topics } from '../topics.js';

/** Within an index key or a property these would mean something else. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the separators of properties
const NOT_IN_KEY = /[ \u0001\u0002]/;
/** Properties that would change what becomes of an event after it was numbered. */
const NOT_IN_EVENT: readonly string[] = [
  PROPERTY.DELAY,
  PROPERTY.TRAN_MSG,
  PROPERTY.TIMER_DELAY_SEC,
  PROPERTY.TIMER_DELAY_MS,
  PROPERTY.TIMER_DELIVER_MS,
];

export interface ConditionalAppendParts {
  identity: BrokerIdentity;
  topics: Topics;
  eventTopics: EventTopics;
  store: Pick<MessageStore, 'appendGuarded'>;
  config: Pick<BrokerConfig, 'brokerPermission'>;
}

export function conditionalAppendRows(parts: ConditionalAppendParts): ProcessorRow[] {
  const { identity, topics, store, config } = parts;
  return [
    processor({
      code: REQUEST_CODE.APPEND_EVENTS,
      header: appendEventsHeader,
      lane: 'send',
      handle({ header, body, peer }) {
        if (!isWritable(config.brokerPermission)) {
          throw refusal(RESPONSE_CODE.NO_PERMISSION, `the broker[${identity.host}] sending message is forbidden`);
        }
        const request = decodeAppendEventsRequest(header, body);
        assertKey('append id', request.appendId);
        if (request.appendId.length > APPEND_ID_MAX_LENGTH) {
          throw refusal(RESPONSE_CODE.INVALID_PARAMETER, `append id has more than ${APPEND_ID_MAX_LENGTH} characters`);
        }
        const append = guardedAppendOf(request, peer, parts);
        const outcome = refusedWhenUnavailable(() => store.appendGuarded(append));
        const { announcement } = topics;
        return announcement ? announcement.then(() => answerTo(outcome)) : answerTo(outcome);
      },
    }),
  ];
}

function guardedAppendOf(request: AppendEventsRequest, peer: Peer, parts: ConditionalAppendParts): GuardedAppend {
  const { appendId, appendIdSince, expectedVersions, condition, events, bornTimestamp } = request;
  let last: TopicConfig | undefined;
  return {
    appendId,
    appendIdSince,
    expectedVersions,
    condition,
    events: events.map((event) => {
      // Events of one append mostly share their topic.
      if (last?.topicName !== event.topic) last = eventTopicOf(event.topic, parts);
      return eventToStore(event, last, bornTimestamp, peer, parts.identity.storeHost);
    }),
  };
}

function eventTopicOf(topic: string, { eventTopics }: ConditionalAppendParts): TopicConfig {
  const found = eventTopics.forAppend(topic);
  switch (found.status) {
    case 'REFUSED':
      throw refusal(RESPONSE_CODE.NO_PERMISSION, found.reason);
    case 'UNKNOWN':
      throw refusal(RESPONSE_CODE.TOPIC_NOT_EXIST, `topic[${topic}] not exist, apply first please!`);
    case 'EVENT_TOPIC':
      if (isWritable(found.config.perm)) return found.config;
      throw refusal(RESPONSE_CODE.NO_PERMISSION, `the topic[${topic}] sending message is forbidden`);
  }
}

function eventToStore(
  event: EventToAppend,
  config: TopicConfig,
  bornTimestamp: number,
  peer: Peer,
  storeHost: Buffer,
): EventToStore {
  for (const key of event.keys) assertKey('key', key);
  const properties = decodeProperties(event.propertiesText);
  for (const name of NOT_IN_EVENT) {
    if (properties[name] === undefined) continue;
    throw refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, `an event cannot carry the property ${name}: it is stored at once`);
  }
  return {
    topic: event.topic,
    queueId: queueOfStream(config, event.keys[0]),
    keys: event.keys,
    flag: 0,
    sysFlag: 0,
    bornTimestamp,
    bornHost: peer.packedHost,
    storeHost,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: event.body,
    properties,
  };
}

function assertKey(what: string, text: string): void {
  if (text !== '' && !NOT_IN_KEY.test(text)) return;
  throw refusal(
    RESPONSE_CODE.INVALID_PARAMETER,
    `${what} ${JSON.stringify(text)} is empty or holds a blank or a separator of properties: encode it first`,
  );
}

function answerTo(outcome: GuardedOutcome): ResponseFields | Promise<ResponseFields> {
  switch (outcome.status) {
    case 'MESSAGE_ILLEGAL':
    case 'PROPERTIES_SIZE_EXCEEDED':
      return { code: RESPONSE_CODE.MESSAGE_ILLEGAL, remark: outcome.reason };
    case 'SERVICE_NOT_AVAILABLE':
      return { code: RESPONSE_CODE.SERVICE_NOT_AVAILABLE, remark: outcome.reason };
    default:
      return outcome.turn.visible.then(
        (visible) =>
          visible === 'VISIBLE'
            ? responseOf(outcome)
            : {
                code: RESPONSE_CODE.FLUSH_DISK_TIMEOUT,
                remark: 'the sync takes too long, the outcome is not known yet: repeat with the same append id',
              },
        failedTurnResponse,
      );
  }
}

function responseOf(outcome: Extract<GuardedOutcome, { turn: unknown }>): ResponseFields {
  switch (outcome.status) {
    case 'VERSION_CONFLICT':
    case 'CONDITION_CONFLICT':
      return encodeAppendEventsOutcome(outcome);
    default: {
      const { status, generation, places } = outcome;
      return encodeAppendEventsOutcome({ status, generation, places, storeTimestamp: places[0]?.storeTimestamp ?? 0 });
    }
  }
}

const refusal = (code: number, remark: string) => new BrokerError(code, remark, `append refused: ${remark}`);
