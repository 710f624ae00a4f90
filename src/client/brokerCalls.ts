/**
 * The requests of producers and consumers to a broker as typed calls: header and body filled, answer decoded. Each
 * takes the broker's address; which broker to ask is `routes.ts`. An answer that is an expected outcome (no new
 * message, nothing recorded, somebody was first) is a value; any other refusal rejects with BrokerError.
 * Administration is `adminCalls.ts`. Upstream: `MQClientAPIImpl`.
 */
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../base/flavours.js';
import {
  type CheckClientBody,
  decodeConsumerList,
  decodeLockBatchResponseBody,
  encodeCheckClientBody,
  encodeHeartbeatData,
  encodeLockBatchBody,
  type HeartbeatData,
  type LockBatchBody,
} from '../protocol/bodies.js';
import {
  type AppendEventsOutcome,
  type AppendEventsRequest,
  decodeAppendEventsOutcome,
  decodeReadByKeyResponse,
  encodeAppendEventsRequest,
  encodeReadByKeyRequest,
  type ReadByKeyRequest,
  type ReadByKeyResponse,
} from '../protocol/headers/events.js';
import { getConsumerListByGroupHeader, unregisterClientHeader } from '../protocol/headers/group.js';
import type { HeaderInput } from '../protocol/headers/headerFields.js';
import {
  consumerSendMsgBackHeader,
  encodeSendMessageV2,
  endTransactionHeader,
  getEarliestMsgStoretimeHeader,
  getEarliestMsgStoretimeResponseHeader,
  getMaxOffsetHeader,
  getMinOffsetHeader,
  offsetResponseHeader,
  pullMessageHeader,
  pullMessageResponseHeader,
  queryConsumerOffsetHeader,
  queryMessageHeader,
  recallMessageHeader,
  recallMessageResponseHeader,
  searchOffsetByTimestampHeader,
  type sendMessageHeader,
  updateConsumerOffsetHeader,
  viewMessageByIdHeader,
} from '../protocol/headers/messaging.js';
import {
  decodeReadEventsResponse,
  encodeReadEventsRequest,
  type ReadEventsRequest,
  type ReadEventsResponse,
} from '../protocol/headers/readEvents.js';
import type { MessageQueue, StoredMessage } from '../protocol/message.js';
import { decodeRecord, decodeRecords } from '../protocol/messageRecord.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { isRefusal, type Requests, refusal } from './requests.js';
import { type StoredSend, sendStatusOf, storedSendOf } from './sendAnswer.js';

export type SendHeader = HeaderInput<typeof sendMessageHeader.fields>;
export type PullHeader = HeaderInput<typeof pullMessageHeader.fields>;
export type SendBackHeader = HeaderInput<typeof consumerSendMsgBackHeader.fields>;
export type EndTransactionHeader = HeaderInput<typeof endTransactionHeader.fields>;
export type RecallHeader = HeaderInput<typeof recallMessageHeader.fields>;
export type QueryHeader = HeaderInput<typeof queryMessageHeader.fields>;

/** Codes of a pull that was answered. Upstream: `MQClientAPIImpl.processPullResponse`. */
const PULL_STATUS = {
  [RESPONSE_CODE.SUCCESS]: 'FOUND',
  [RESPONSE_CODE.PULL_NOT_FOUND]: 'NO_NEW_MSG',
  [RESPONSE_CODE.PULL_RETRY_IMMEDIATELY]: 'NO_MATCHED_MSG',
  [RESPONSE_CODE.PULL_OFFSET_MOVED]: 'OFFSET_ILLEGAL',
} as const;

export type PullStatus = (typeof PULL_STATUS)[keyof typeof PULL_STATUS];

/** What a pull came back with: records back to back, and where the queue stands. */
export interface PullAnswer {
  status: PullStatus;
  nextBeginOffset: QueueOffset;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
  suggestWhichBrokerId: number;
  records: Buffer;
}

export class BrokerCalls {
  readonly #requests: Requests;

  constructor({ requests }: { requests: Requests }) {
    this.#requests = requests;
  }

  /** One message, or a batch when the header says so. Resolves when the broker stored it. */
  send(address: string, header: SendHeader, body: Buffer, timeoutMillis?: number): Promise<StoredSend> {
    const code = header.batch ? REQUEST_CODE.SEND_BATCH_MESSAGE : REQUEST_CODE.SEND_MESSAGE_V2;
    return this.#send(code, address, header, body, timeoutMillis);
  }

  /** A reply to a request. Resolves when the requester has it; rejects with SYSTEM_ERROR when it is not there. */
  sendReply(address: string, header: SendHeader, body: Buffer, timeoutMillis?: number): Promise<StoredSend> {
    return this.#send(REQUEST_CODE.SEND_REPLY_MESSAGE_V2, address, header, body, timeoutMillis);
  }

  #send(
    code: number,
    address: string,
    header: SendHeader,
    body: Buffer,
    timeoutMillis: number | undefined,
  ): Promise<StoredSend> {
    const extFields = encodeSendMessageV2(header);
    return this.#requests.invoke(address, { code, extFields, body, timeoutMillis }).then((response) => {
      const status = sendStatusOf(response);
      if (!status) throw refusal(address, code, response);
      return storedSendOf(status, response);
    });
  }

  /** Takes back a message that waits for its time. Resolves with its unique key; rejects when it was delivered. */
  async recall(address: string, header: RecallHeader, timeoutMillis?: number): Promise<string> {
    const extFields = recallMessageHeader.encode(header);
    const code = REQUEST_CODE.RECALL_MESSAGE;
    const response = await this.#requests.ask(address, { code, extFields, timeoutMillis });
    return recallMessageResponseHeader.decode(response.extFields).msgId;
  }

  /** Sends without asking whether it was stored. */
  sendOneway(address: string, header: SendHeader, body: Buffer): Promise<void> {
    const code = header.batch ? REQUEST_CODE.SEND_BATCH_MESSAGE : REQUEST_CODE.SEND_MESSAGE_V2;
    return this.#requests.tell(address, { code, extFields: encodeSendMessageV2(header), body });
  }

  /** Commits or rolls back a half message. Resolves when the broker has noted it, FLUSH_DISK_TIMEOUT and the like included. */
  async endTransaction(address: string, header: EndTransactionHeader): Promise<void> {
    const code = REQUEST_CODE.END_TRANSACTION;
    const response = await this.#requests.invoke(address, { code, extFields: endTransactionHeader.encode(header) });
    if (!sendStatusOf(response)) throw refusal(address, code, response);
  }

  async pull(address: string, header: PullHeader, timeoutMillis: number): Promise<PullAnswer> {
    const code = REQUEST_CODE.PULL_MESSAGE;
    const response = await this.#requests.invoke(address, {
      code,
      extFields: pullMessageHeader.encode(header),
      timeoutMillis,
    });
    const status = PULL_STATUS[response.code as keyof typeof PULL_STATUS];
    if (!status) throw refusal(address, code, response);
    const { nextBeginOffset, minOffset, maxOffset, suggestWhichBrokerId } = pullMessageResponseHeader.decode(
      response.extFields,
    );
    return { status, nextBeginOffset, minOffset, maxOffset, suggestWhichBrokerId, records: response.body };
  }

  async maxOffset(address: string, queue: MessageQueue): Promise<QueueOffset> {
    const extFields = getMaxOffsetHeader.encode(queueFields(queue));
    return this.#offset(address, REQUEST_CODE.GET_MAX_OFFSET, extFields);
  }

  async minOffset(address: string, queue: MessageQueue): Promise<QueueOffset> {
    const extFields = getMinOffsetHeader.encode(queueFields(queue));
    return this.#offset(address, REQUEST_CODE.GET_MIN_OFFSET, extFields);
  }

  /** The first offset stored at or after the time; before the first message the lowest, after the last the highest. */
  async offsetByTimestamp(address: string, queue: MessageQueue, timestamp: TimestampMillis): Promise<QueueOffset> {
    const extFields = searchOffsetByTimestampHeader.encode({ ...queueFields(queue), timestamp });
    return this.#offset(address, REQUEST_CODE.SEARCH_OFFSET_BY_TIMESTAMP, extFields);
  }

  /** Store time of the queue's oldest message; undefined for an empty queue. */
  async earliestStoreTime(address: string, queue: MessageQueue): Promise<TimestampMillis | undefined> {
    const response = await this.#requests.ask(address, {
      code: REQUEST_CODE.GET_EARLIEST_MSG_STORETIME,
      extFields: getEarliestMsgStoretimeHeader.encode(queueFields(queue)),
    });
    const { timestamp } = getEarliestMsgStoretimeResponseHeader.decode(response.extFields);
    return timestamp < 0 ? undefined : timestamp;
  }

  /** What the group has recorded for the queue; undefined when nothing is. The broker is asked not to guess a 0. */
  async consumerOffset(address: string, group: string, queue: MessageQueue): Promise<QueueOffset | undefined> {
    const extFields = queryConsumerOffsetHeader.encode({
      consumerGroup: group,
      ...queueFields(queue),
      setZeroIfNotFound: false,
    });
    try {
      return await this.#offset(address, REQUEST_CODE.QUERY_CONSUMER_OFFSET, extFields);
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.QUERY_NOT_FOUND)) return undefined;
      throw thrown;
    }
  }

  /** Resolves when the broker took the offset over. */
  async updateConsumerOffset(
    address: string,
    group: string,
    queue: MessageQueue,
    commitOffset: QueueOffset,
  ): Promise<void> {
    const extFields = updateConsumerOffsetHeader.encode({ consumerGroup: group, ...queueFields(queue), commitOffset });
    await this.#requests.ask(address, { code: REQUEST_CODE.UPDATE_CONSUMER_OFFSET, extFields });
  }

  async heartbeat(address: string, heartbeat: HeartbeatData): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.HEART_BEAT, body: encodeHeartbeatData(heartbeat) });
  }

  async unregister(
    address: string,
    clientID: string,
    groups: { producerGroup?: string; consumerGroup?: string },
  ): Promise<void> {
    const extFields = unregisterClientHeader.encode({ clientID, ...groups });
    await this.#requests.ask(address, { code: REQUEST_CODE.UNREGISTER_CLIENT, extFields });
  }

  /** Client ids of the group's members, unsorted; empty when the broker knows none. */
  async consumerIds(address: string, group: string): Promise<string[]> {
    const extFields = getConsumerListByGroupHeader.encode({ consumerGroup: group });
    try {
      const response = await this.#requests.ask(address, { code: REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP, extFields });
      return decodeConsumerList(response.body).consumerIdList;
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.SYSTEM_ERROR)) return [];
      throw thrown;
    }
  }

  /** Rejects when the broker cannot serve the subscription: SQL text that does not compile, property filters off. */
  async checkClient(address: string, check: CheckClientBody): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.CHECK_CLIENT_CONFIG, body: encodeCheckClientBody(check) });
  }

  /** The queues whose lock this client now holds. */
  async lock(address: string, body: LockBatchBody): Promise<MessageQueue[]> {
    const response = await this.#requests.ask(address, {
      code: REQUEST_CODE.LOCK_BATCH_MQ,
      body: encodeLockBatchBody(body),
    });
    return decodeLockBatchResponseBody(response.body).lockOKMQSet;
  }

  async unlock(address: string, body: LockBatchBody): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.UNLOCK_BATCH_MQ, body: encodeLockBatchBody(body) });
  }

  /** Gives a message back: to the group's retry topic after a delay, or to its dead letters. */
  async sendBack(address: string, header: SendBackHeader, timeoutMillis?: number): Promise<void> {
    const extFields = consumerSendMsgBackHeader.encode(header);
    await this.#requests.ask(address, { code: REQUEST_CODE.CONSUMER_SEND_MSG_BACK, extFields, timeoutMillis });
  }

  /** Messages of a topic by key; of unequal keys with one hash the broker may return both. */
  async queryMessage(address: string, header: QueryHeader, timeoutMillis?: number): Promise<StoredMessage[]> {
    const extFields = queryMessageHeader.encode(header);
    try {
      const response = await this.#requests.ask(address, {
        code: REQUEST_CODE.QUERY_MESSAGE,
        extFields,
        timeoutMillis,
      });
      return decodeRecords(response.body);
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.QUERY_NOT_FOUND)) return [];
      throw thrown;
    }
  }

  /** The message at a place of the log; undefined when there is none. */
  async viewMessage(address: string, offset: CommitLogOffset, topic?: string): Promise<StoredMessage | undefined> {
    const extFields = viewMessageByIdHeader.encode({ offset, topic });
    try {
      const response = await this.#requests.ask(address, { code: REQUEST_CODE.VIEW_MESSAGE_BY_ID, extFields });
      return decodeRecord(response.body);
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.SYSTEM_ERROR)) return undefined;
      throw thrown;
    }
  }

  /** Guarded append. Brokers other than foldlog's refuse it with REQUEST_CODE_NOT_SUPPORTED. */
  async appendEvents(
    address: string,
    request: AppendEventsRequest,
    timeoutMillis?: number,
  ): Promise<AppendEventsOutcome> {
    const code = REQUEST_CODE.APPEND_EVENTS;
    const { extFields, body } = encodeAppendEventsRequest(request);
    const response = await this.#requests.invoke(address, { code, extFields, body, timeoutMillis });
    return decodeAppendEventsOutcome(response);
  }

  /** One page of the records that carry one of the keys. */
  async readByKey(address: string, request: ReadByKeyRequest, timeoutMillis?: number): Promise<ReadByKeyResponse> {
    const code = REQUEST_CODE.READ_BY_KEY;
    const response = await this.#requests.invoke(address, { code, ...encodeReadByKeyRequest(request), timeoutMillis });
    return decodeReadByKeyResponse(response);
  }

  /** One page of event topics in the order of the log. Rejects with POSITION_LOST where the log is not the one that is known. */
  async readEvents(address: string, request: ReadEventsRequest, timeoutMillis?: number): Promise<ReadEventsResponse> {
    const code = REQUEST_CODE.READ_EVENTS;
    const response = await this.#requests.invoke(address, { code, ...encodeReadEventsRequest(request), timeoutMillis });
    return decodeReadEventsResponse(response);
  }

  async #offset(address: string, code: number, extFields: Record<string, string>): Promise<QueueOffset> {
    return offsetResponseHeader.decode((await this.#requests.ask(address, { code, extFields })).extFields).offset;
  }
}

const queueFields = ({ topic, queueId, brokerName }: MessageQueue) => ({ topic, queueId, bname: brokerName });
