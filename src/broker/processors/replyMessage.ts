/**
 * SEND_REPLY_MESSAGE 324 and SEND_REPLY_MESSAGE_V2 325: a consumer answers a request. The reply is handed to the
 * requester on its own connection (PUSH_REPLY_MESSAGE_TO_CLIENT 326), found by the client id in REPLY_TO_CLIENT; a
 * producer becomes known by its heartbeat. The answer says whether the requester has the reply. Beside that the reply is
 * stored, also when it could not be handed over, and the answer names its place. Upstream: `ReplyMessageProcessor`.
 */
import type { Clock } from '../../base/clock.js';
import { messageOf } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { SendMessageHeader } from '../../protocol/headers/messaging.js';
import { replyMessageHeader, sendMessageHeader } from '../../protocol/headers/messaging.js';
import { decodeProperties, PROPERTY } from '../../protocol/messageProperties.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { Peer, ProcessorRow, Request } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { StoredPlace } from '../../store/storeTypes.js';
import { askClient, RELAY_TIMEOUT_MILLIS } from '../clientRequests.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { MessageIntake } from '../messageIntake.js';
import { appendProperty, withoutProperty } from '../propertiesText.js';
import type { SendAdmissionParts } from './sendAdmission.js';
import { admitSend } from './sendAdmission.js';
import { fastSendHeader } from './sendHeader.js';

export interface ReplyMessageParts extends SendAdmissionParts {
  clients: Pick<ConnectedClients, 'producerPeer'>;
  intake: Pick<MessageIntake, 'put'>;
  config: Pick<BrokerConfig, 'brokerPermission' | 'regionId' | 'storeReplyMessageEnable' | 'traceOn'>;
  clock: Clock;
  logger: Logger;
  /** Where a message without a queue goes: a number from 0 up to, not including, the given one. */
  randomBelow: (end: number) => number;
}

export function replyMessageRows(parts: ReplyMessageParts): ProcessorRow[] {
  const handle = (request: Request<SendMessageHeader>) => reply(parts, request);
  return [
    processor({ code: REQUEST_CODE.SEND_REPLY_MESSAGE, header: sendMessageHeader, lane: 'reply', handle }),
    processor({ code: REQUEST_CODE.SEND_REPLY_MESSAGE_V2, header: fastSendHeader, lane: 'reply', handle }),
  ];
}

async function reply(parts: ReplyMessageParts, request: Request<SendMessageHeader>): Promise<ResponseFields> {
  const { config, randomBelow } = parts;
  const { header, body, peer } = request;
  // On every answer to a send, errors included.
  const common = { MSG_REGION: config.regionId, TRACE_ON: String(config.traceOn) };
  const admission = admitSend(parts, header, body, peer);
  if (admission.status === 'REFUSED') {
    return { code: admission.code, remark: admission.remark, extFields: common };
  }
  const queueId = header.queueId < 0 ? randomBelow(admission.topic.writeQueueNums) : header.queueId;
  const accepted = { ...header, queueId, properties: marked(header.properties ?? '', common) };
  const [defect, place] = await Promise.all([
    push(parts, accepted, body, peer),
    config.storeReplyMessageEnable ? store(parts, accepted, body, peer) : undefined,
  ]);
  const extFields: Record<string, string> = { ...common };
  if (place) {
    extFields['msgId'] = parts.identity.messageIdOf(place.commitLogOffset);
    extFields['queueId'] = String(queueId);
    extFields['queueOffset'] = String(place.queueOffset);
  } else {
    // Senders read these whatever the code says.
    Object.assign(extFields, { msgId: '0', queueId: String(queueId), queueOffset: '0' });
  }
  return defect === undefined
    ? { code: RESPONSE_CODE.SUCCESS, extFields }
    : { code: RESPONSE_CODE.SYSTEM_ERROR, remark: defect, extFields };
}

/** The properties with the broker's own. */
function marked(text: string, own: Readonly<Record<string, string>>): string {
  return Object.entries(own).reduce(
    (all, [name, value]) => appendProperty(withoutProperty(all, name), name, value),
    text,
  );
}

/** Hands the reply to the requester. Returns why it does not have it. */
async function push(
  { identity, clients, clock }: ReplyMessageParts,
  header: SendMessageHeader,
  body: Buffer,
  replier: Peer,
): Promise<string | undefined> {
  const text = header.properties ?? '';
  const { [PROPERTY.REPLY_TO_CLIENT]: clientId } = decodeProperties(text);
  if (clientId === undefined) return 'reply message properties[REPLY_TO_CLIENT] is null';
  const requester = clients.producerPeer(clientId);
  if (!requester) return `push reply message fail, channel of <${clientId}> not found.`;
  const now = clock.now();
  const answer = await askClient(requester, {
    code: REQUEST_CODE.PUSH_REPLY_MESSAGE_TO_CLIENT,
    extFields: replyMessageHeader.encode({
      producerGroup: header.producerGroup,
      topic: header.topic,
      defaultTopic: header.defaultTopic,
      defaultTopicQueueNums: header.defaultTopicQueueNums,
      queueId: header.queueId,
      sysFlag: header.sysFlag,
      bornTimestamp: header.bornTimestamp,
      flag: header.flag,
      properties: appendProperty(text, PROPERTY.PUSH_REPLY_TIME, String(now)),
      reconsumeTimes: header.reconsumeTimes,
      unitMode: header.unitMode,
      bornHost: `${replier.address.host}:${replier.address.port}`,
      storeHost: identity.addressText,
      storeTimestamp: now,
    }),
    body,
    timeoutMillis: RELAY_TIMEOUT_MILLIS,
  });
  if (answer.status !== 'ANSWERED') return `push reply message to ${clientId} fail: ${answer.reason}`;
  const { code, remark } = answer.response;
  return code === RESPONSE_CODE.SUCCESS
    ? undefined
    : `push reply message to ${clientId} fail: it answered ${code} ${remark ?? ''}`;
}

/** Where the reply lies; undefined when it could not be stored, which fails nothing. */
async function store(
  { identity, intake, topics, logger }: ReplyMessageParts,
  header: SendMessageHeader,
  body: Buffer,
  peer: Peer,
): Promise<StoredPlace | undefined> {
  const { topic, queueId } = header;
  const propertiesText = header.properties ?? '';
  const outcome = intake.put({
    topic,
    queueId,
    flag: header.flag,
    sysFlag: header.sysFlag,
    bornTimestamp: header.bornTimestamp,
    bornHost: peer.packedHost,
    storeHost: identity.storeHost,
    reconsumeTimes: header.reconsumeTimes ?? 0,
    preparedTransactionOffset: 0,
    body,
    propertiesText,
    properties: decodeProperties(propertiesText),
  });
  let reason: string;
  if (outcome.status === 'REFUSED') reason = outcome.remark;
  else {
    try {
      // The same for a sync that takes long: the reply is in the log.
      await outcome.turn.visible;
      await topics.settled(topic);
      return outcome.places[0];
    } catch (thrown) {
      reason = messageOf(thrown);
    }
  }
  logger.warn({ topic, reason }, 'a reply was not stored; it was handed to its requester, unless another line says so');
  return undefined;
}
