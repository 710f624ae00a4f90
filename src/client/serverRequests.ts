/**
 * What servers ask of a client, over the client's own connections: rows for a processor table. Requests for a group
 * that does not live here are ignored or refused; everything that has no row is answered with
 * REQUEST_CODE_NOT_SUPPORTED by the table. Upstream: `ClientRemotingProcessor`.
 */
import type { Clock } from '../base/clock.js';
import { BrokerError, FoldlogError, messageOf } from '../base/errors.js';
import type { CommitLogOffset, QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import { type ConsumerData, decodeResetOffsetBody, encodeConsumerStatusBody } from '../protocol/bodies.js';
import {
  consumeMessageDirectlyHeader,
  getConsumerRunningInfoHeader,
  getConsumerStatusFromClientHeader,
  notifyConsumerIdsChangedHeader,
  resetConsumerClientOffsetHeader,
} from '../protocol/headers/group.js';
import {
  checkTransactionStateHeader,
  type ReplyMessageHeader,
  replyMessageHeader,
} from '../protocol/headers/messaging.js';
import { writeFastJson, writeStandardJson } from '../protocol/looseJson.js';
import type { HostAddress, MessageQueue, StoredMessage } from '../protocol/message.js';
import { decodeProperties, PROPERTY } from '../protocol/messageProperties.js';
import { decodeRecord } from '../protocol/messageRecord.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { type ProcessorRow, processor } from '../remoting/processor.js';
import type { ReceivedMessage } from './clientTypes.js';
import { receive } from './receivedMessage.js';

/** How a message fared that a broker had a consumer try. */
export interface DirectResult {
  consumeResult: 'CR_SUCCESS' | 'CR_LATER' | 'CR_THROW_EXCEPTION';
  order: boolean;
  autoCommit: boolean;
  spentTimeMills: number;
  remark?: string;
}

/** A consumer as its session, and so the broker, sees it. */
export interface ConsumerMember {
  readonly group: string;
  readonly topics: readonly string[];
  /** For heartbeats. */
  consumerData(): ConsumerData;
  /** The members of the group changed. */
  rebalanceNow(): void;
  /** A broker that had failed, or had forgotten us, knows us again. */
  brokerRecovered(address: string): void;
  persistOffsets(): Promise<void>;
  resetOffsets(topic: string, offsets: readonly (readonly [MessageQueue, QueueOffset])[]): void;
  /** Committable offsets of the queues of a topic that are assigned here. */
  offsets(topic: string): [MessageQueue, QueueOffset][];
  runningInfo(): Record<string, unknown>;
  consumeDirectly(record: StoredMessage, brokerName: string): Promise<DirectResult>;
  stop(): Promise<void>;
}

/** Where the half message lies that a broker asks about, and where the answer goes. */
export interface TransactionQuestion {
  commitLogOffset: CommitLogOffset;
  queueOffset: QueueOffset;
  transactionId: string | undefined;
  brokerName: string | undefined;
  /** Of the broker, as the connection knows it. */
  address: string;
}

/** A producer of transactional messages as its session sees it. */
export interface TransactionMember {
  readonly group: string;
  /** Answers by END_TRANSACTION in its own time. `record` shows its real topic. */
  ask(record: StoredMessage, question: TransactionQuestion): void;
}

const LANE = 'client';
/** Requests of servers under way at once. */
export const CLIENT_LANES = { [LANE]: { maxInFlight: 256 } } as const;

const SUCCESS = { code: RESPONSE_CODE.SUCCESS };

export function clientProcessors(parts: {
  consumerOf: (group: string) => ConsumerMember | undefined;
  transactionProducerOf: (group: string) => TransactionMember | undefined;
  /** False when nobody waits for the reply (any more). */
  onReply: (reply: ReceivedMessage) => boolean;
  clock: Clock;
  logger: Logger;
}): ProcessorRow[] {
  const { consumerOf, transactionProducerOf, onReply, clock, logger } = parts;
  const consumerOrRefuse = (group: string): ConsumerMember => {
    const consumer = consumerOf(group);
    if (consumer) return consumer;
    const remark = `The Consumer Group <${group}> not exist in this consumer`;
    throw new BrokerError(RESPONSE_CODE.SYSTEM_ERROR, remark, remark);
  };
  return [
    processor({
      code: REQUEST_CODE.NOTIFY_CONSUMER_IDS_CHANGED,
      header: notifyConsumerIdsChangedHeader,
      lane: LANE,
      handle({ header }) {
        consumerOf(header.consumerGroup)?.rebalanceNow();
        return SUCCESS;
      },
    }),
    processor({
      code: REQUEST_CODE.CHECK_TRANSACTION_STATE,
      header: checkTransactionStateHeader,
      lane: LANE,
      handle({ header, body, peer }) {
        const { transactionId, commitLogOffset, tranStateTableOffset: queueOffset, bname: brokerName } = header;
        const record = body.length > 0 ? recordOf(body) : undefined;
        const member = record && transactionProducerOf(record.properties[PROPERTY.PGROUP] ?? '');
        if (record && member) {
          const address = `${peer.address.host}:${peer.address.port}`;
          member.ask(record, { commitLogOffset, queueOffset, transactionId, brokerName, address });
        } else {
          logger.warn(
            { topic: header.topic, transactionId },
            'broker asks for the outcome of a transaction that was not begun here',
          );
        }
        return SUCCESS;
      },
    }),
    processor({
      code: REQUEST_CODE.PUSH_REPLY_MESSAGE_TO_CLIENT,
      header: replyMessageHeader,
      lane: LANE,
      handle({ header, body }) {
        const reply = replyOf(header, body, clock.now());
        if (!onReply(reply)) {
          const correlationId = reply.properties[PROPERTY.CORRELATION_ID];
          logger.warn({ topic: header.topic, correlationId }, 'a reply came to a request that nobody waits for');
        }
        return SUCCESS;
      },
    }),
    processor({
      code: REQUEST_CODE.RESET_CONSUMER_CLIENT_OFFSET,
      header: resetConsumerClientOffsetHeader,
      lane: LANE,
      handle({ header, body }) {
        const consumer = consumerOf(header.group);
        if (consumer && body.length > 0) consumer.resetOffsets(header.topic, decodeResetOffsetBody(body).offsetTable);
        return SUCCESS;
      },
    }),
    processor({
      code: REQUEST_CODE.GET_CONSUMER_STATUS_FROM_CLIENT,
      header: getConsumerStatusFromClientHeader,
      lane: LANE,
      handle({ header }) {
        const messageQueueTable = consumerOf(header.group)?.offsets(header.topic) ?? [];
        return { ...SUCCESS, body: encodeConsumerStatusBody({ messageQueueTable }) };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_CONSUMER_RUNNING_INFO,
      header: getConsumerRunningInfoHeader,
      lane: LANE,
      handle({ header }) {
        const info = consumerOrRefuse(header.consumerGroup).runningInfo();
        return { ...SUCCESS, body: Buffer.from(writeFastJson(info)) };
      },
    }),
    processor({
      code: REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY,
      header: consumeMessageDirectlyHeader,
      lane: LANE,
      async handle({ header, body }) {
        const consumer = consumerOrRefuse(header.consumerGroup);
        const result = await consumer.consumeDirectly(recordOf(body), header.brokerName ?? '');
        return { ...SUCCESS, body: Buffer.from(writeStandardJson(result)) };
      },
    }),
  ];
}

/** The reply as its requester gets it. It has no place in a queue. */
function replyOf(header: ReplyMessageHeader, body: Buffer, now: number): ReceivedMessage {
  const properties = decodeProperties(header.properties ?? '');
  properties[PROPERTY.ARRIVE_TIME] = String(now);
  const record: StoredMessage = {
    topic: header.topic,
    queueId: header.queueId,
    queueOffset: 0,
    commitLogOffset: 0,
    sizeBytes: body.length,
    flag: header.flag,
    sysFlag: header.sysFlag,
    bornTimestamp: header.bornTimestamp,
    bornHost: hostOf(header.bornHost),
    storeTimestamp: header.storeTimestamp,
    storeHost: hostOf(header.storeHost),
    reconsumeTimes: header.reconsumeTimes ?? 0,
    preparedTransactionOffset: 0,
    bodyCrc: 0,
    body,
    properties,
  };
  return receive(record, '');
}

/** `10.0.0.1:5000`, `/10.0.0.1:5000` or `name/10.0.0.1:5000`; Java writes all three. */
function hostOf(text: string): HostAddress {
  const [, host = '', port = ''] = /^(?:[^/]*\/)?\[?([\da-fA-F.:]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  return host === '' ? { host: '0.0.0.0', port: 0 } : { host, port: Number(port) };
}

function recordOf(body: Buffer): StoredMessage {
  try {
    return decodeRecord(body);
  } catch (cause) {
    throw new FoldlogError('FRAME_INVALID', `body is no message record: ${messageOf(cause)}`, { cause });
  }
}
