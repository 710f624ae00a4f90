/**
 * Questions about a consumer that only its client can answer, handed on to it: GET_CONSUMER_RUNNING_INFO 307,
 * CONSUME_MESSAGE_DIRECTLY 309 (the broker adds the record), and the offsets that members hold,
 * INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223 (asked by GET_CONSUMER_STATUS_FROM_CLIENT 221). The client's answer goes
 * back as it is; without one in time the answer is CONSUME_MSG_TIMEOUT. Upstream: `AdminBrokerProcessor.callConsumer`,
 * `consumeMessageDirectly`, `getConsumeStatus`.
 */
import { decodeConsumerStatusBody, encodeConsumerStatusesBody } from '../../protocol/bodies.js';
import {
  consumeMessageDirectlyHeader,
  getConsumerRunningInfoHeader,
  getConsumerStatusFromClientHeader,
  invokeBrokerToGetConsumerStatusHeader,
} from '../../protocol/headers/group.js';
import type { MessageQueue } from '../../protocol/message.js';
import { decodeOffsetMsgId } from '../../protocol/messageId.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import {
  askClient,
  CONSUMER_REQUESTS_SINCE,
  OFFSET_REQUESTS_SINCE,
  RELAY_TIMEOUT_MILLIS,
  STATUS_TIMEOUT_MILLIS,
} from '../clientRequests.js';
import type { ConnectedClients, Member } from '../connectedClients.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';

export interface ConsumerRelayParts {
  identity: Pick<BrokerIdentity, 'brokerName'>;
  topics: Pick<Topics, 'get'>;
  groups: Pick<SubscriptionGroups, 'get'>;
  clients: Pick<ConnectedClients, 'consumer' | 'consumerGroup'>;
  store: Pick<MessageStore, 'readRecord'>;
}

export function consumerRelayRows(parts: ConsumerRelayParts): ProcessorRow[] {
  const { identity, topics, groups, store } = parts;
  return [
    processor({
      code: REQUEST_CODE.GET_CONSUMER_RUNNING_INFO,
      header: getConsumerRunningInfoHeader,
      lane: 'admin',
      handle: ({ header, command }) =>
        relay(parts, { ...header, code: REQUEST_CODE.GET_CONSUMER_RUNNING_INFO, extFields: command.extFields }),
    }),
    processor({
      code: REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY,
      header: consumeMessageDirectlyHeader,
      lane: 'admin',
      handle({ header, command }) {
        const { consumerGroup, clientId = '', msgId = '' } = header;
        const place = decodeOffsetMsgId(msgId);
        const body = place && store.readRecord(place.commitLogOffset);
        if (!body) return failure(`can not find message by the id, ${msgId}`);
        const { topic } = decodeRecord(body, 0, { verifyCrc: false });
        const added = consumeMessageDirectlyHeader.encode({
          consumerGroup,
          brokerName: identity.brokerName,
          topicSysFlag: topics.get(topic)?.topicSysFlag ?? 0,
          groupSysFlag: groups.get(consumerGroup)?.groupSysFlag ?? 0,
        });
        const extFields = { ...command.extFields, ...added };
        return relay(parts, {
          consumerGroup,
          clientId,
          code: REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY,
          extFields,
          body,
        });
      },
    }),
    processor({
      code: REQUEST_CODE.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
      header: invokeBrokerToGetConsumerStatusHeader,
      lane: 'admin',
      handle: ({ header: { topic, group, clientAddr } }) => statuses(parts, topic, group, clientAddr ?? ''),
    }),
  ];
}

interface Relayed {
  consumerGroup: string;
  clientId: string;
  code: number;
  extFields: Record<string, string>;
  body?: Buffer;
}

/** The client's own answer, whatever its code. */
async function relay(
  { clients }: ConsumerRelayParts,
  { consumerGroup, clientId, code, extFields, body }: Relayed,
): Promise<ResponseFields> {
  const member = clients.consumer(consumerGroup, clientId);
  if (!member) return failure(`The Consumer <${consumerGroup}> <${clientId}> not online`);
  if (member.version < CONSUMER_REQUESTS_SINCE) {
    return failure(
      `The Consumer <${clientId}> Version <${member.version}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT`,
    );
  }
  const question = { code, extFields, timeoutMillis: RELAY_TIMEOUT_MILLIS, ...(body && { body }) };
  const answer = await askClient(member.peer, question);
  switch (answer.status) {
    case 'ANSWERED': {
      const { code: responseCode, remark, extFields: fields, body: content } = answer.response;
      return { code: responseCode, remark, extFields: fields, body: content };
    }
    case 'TIMEOUT':
      return {
        code: RESPONSE_CODE.CONSUME_MSG_TIMEOUT,
        remark: `consumer <${consumerGroup}> <${clientId}> Timeout: ${answer.reason}`,
      };
    case 'FAILED':
      return failure(`invoke consumer <${consumerGroup}> <${clientId}> Exception: ${answer.reason}`);
  }
}

/** The offsets that members of a group hold for a topic. Members that do not answer are left out, as upstream does. */
async function statuses(
  { clients }: ConsumerRelayParts,
  topic: string,
  group: string,
  clientId: string,
): Promise<ResponseFields> {
  const members = [...(clients.consumerGroup(group)?.members.values() ?? [])];
  if (members.length === 0) return failure(`No Any Consumer online in the consumer group: [${group}]`);
  const tooOld = members.find(({ version }) => version < OFFSET_REQUESTS_SINCE);
  if (tooOld) return failure(`the client does not support this feature. version=${tooOld.version}`);
  const asked = members.filter((member) => clientId.trim() === '' || member.clientId === clientId);
  const answers = await Promise.all(asked.map((member) => statusOf(member, topic, group)));
  const consumerTable = new Map(answers.filter((answer) => answer !== undefined));
  return { code: RESPONSE_CODE.SUCCESS, body: encodeConsumerStatusesBody({ consumerTable }) };
}

async function statusOf(
  { clientId, peer }: Member,
  topic: string,
  group: string,
): Promise<[clientId: string, offsets: [MessageQueue, number][]] | undefined> {
  const answer = await askClient(peer, {
    code: REQUEST_CODE.GET_CONSUMER_STATUS_FROM_CLIENT,
    extFields: getConsumerStatusFromClientHeader.encode({ topic, group }),
    timeoutMillis: STATUS_TIMEOUT_MILLIS,
  });
  if (answer.status !== 'ANSWERED' || answer.response.code !== RESPONSE_CODE.SUCCESS) return undefined;
  const { body } = answer.response;
  return [clientId, body.length > 0 ? decodeConsumerStatusBody(body).messageQueueTable : []];
}

const failure = (remark: string): ResponseFields => ({ code: RESPONSE_CODE.SYSTEM_ERROR, remark });
