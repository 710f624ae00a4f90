/** A producer of transactional messages as a broker sees it: sends, ends, and keeps what it is asked. */
import { onTestFinished } from 'vitest';
import { encodeHeartbeatData } from '../../../src/protocol/bodies.js';
import {
  checkTransactionStateHeader,
  emptyHeader,
  endTransactionHeader,
  sendMessageV2Header,
  toSendMessageV2,
} from '../../../src/protocol/headers/messaging.js';
import type { StoredMessage } from '../../../src/protocol/message.js';
import { decodeOffsetMsgId } from '../../../src/protocol/messageId.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import type { RemotingCommand } from '../../../src/protocol/remotingCommand.js';
import { requestCommand } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../../src/remoting/localLink.js';
import { processor } from '../../../src/remoting/processor.js';
import { ProcessorTable } from '../../../src/remoting/processorTable.js';
import type { RawClient } from '../../support/rawClient.js';
import { messagesOf, pull, type Sending, sendHeader, type TestBroker } from '../../support/testBroker.js';

export const HALF = 'RMQ_SYS_TRANS_HALF_TOPIC';
export const OP = 'RMQ_SYS_TRANS_OP_HALF_TOPIC';
export const GIVEN_UP = 'TRANS_CHECK_MAX_TIME_TOPIC';
export const COMMIT = 8;
export const ROLLBACK = 12;

/** A half message as its sender knows it. */
export interface Half {
  commitLogOffset: number;
  queueOffset: number;
  transactionId: string;
  group: string;
}

/** What a broker asked. */
export interface Question {
  half: Half;
  topic: string | undefined;
  brokerName: string | undefined;
  offsetMsgId: string | undefined;
  message: StoredMessage;
}

export const settle = async (turns = 30) => {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

let keys = 0;

export interface HalfSending extends Omit<Sending, 'topic'> {
  topic?: string;
  group?: string;
}

/** Sends a half message; the answer as it came. */
export function prepare(client: RawClient, sending: HalfSending = {}): Promise<RemotingCommand> {
  const { topic = 'T', group = 'TG', props = {}, body = 'body', ...header } = sending;
  keys += 1;
  const all = { UNIQ_KEY: `KEY-${keys}`, TRAN_MSG: 'true', PGROUP: group, ...props };
  return client.call(
    REQUEST_CODE.SEND_MESSAGE_V2,
    sendMessageV2Header,
    toSendMessageV2(sendHeader({ sysFlag: 4, producerGroup: group, ...header, topic, props: all })),
    Buffer.from(body),
  );
}

export function halfOf(response: RemotingCommand, group = 'TG'): Half {
  if (response.code !== 0) throw new Error(`not prepared: ${response.remark}`);
  const { msgId = '', queueOffset = '', transactionId = '' } = response.extFields;
  const place = decodeOffsetMsgId(msgId);
  return { commitLogOffset: place!.commitLogOffset, queueOffset: Number(queueOffset), transactionId, group };
}

export const prepared = async (client: RawClient, sending: HalfSending = {}): Promise<Half> =>
  halfOf(await prepare(client, sending), sending.group ?? 'TG');

export function end(
  client: RawClient,
  half: Half,
  commitOrRollback: number,
  changes: Partial<Parameters<typeof endTransactionHeader.encode>[0]> = {},
): Promise<RemotingCommand> {
  return client.call(REQUEST_CODE.END_TRANSACTION, endTransactionHeader, {
    producerGroup: half.group,
    tranStateTableOffset: half.queueOffset,
    commitLogOffset: half.commitLogOffset,
    commitOrRollback,
    fromTransactionCheck: false,
    msgId: half.transactionId,
    transactionId: half.transactionId,
    ...changes,
  });
}

export async function all(client: RawClient, topic: string, queueId = 0): Promise<StoredMessage[]> {
  await settle();
  const messages: StoredMessage[] = [];
  for (let queueOffset = 0; ; ) {
    const page = messagesOf(await pull(client, { topic, queueId, queueOffset, sysFlag: 4 }));
    if (page.length === 0) return messages;
    messages.push(...page);
    queueOffset = page.at(-1)!.queueOffset + 1;
  }
}

export const textsOf = (messages: readonly StoredMessage[]): string[] => messages.map(({ body }) => body.toString());

export interface TransactionClient {
  questions: Question[];
  close(): Promise<void>;
}

/** Joins the group with a heartbeat of its own connection and keeps what it is asked. */
export async function joinGroup({ broker }: TestBroker, group = 'TG'): Promise<TransactionClient> {
  const questions: Question[] = [];
  const table = new ProcessorTable({
    rows: [
      processor({
        code: REQUEST_CODE.CHECK_TRANSACTION_STATE,
        header: checkTransactionStateHeader,
        lane: 'all',
        handle({ header, body }) {
          const { commitLogOffset, tranStateTableOffset, transactionId = '', topic, bname, offsetMsgId } = header;
          const half = { commitLogOffset, queueOffset: tranStateTableOffset, transactionId, group };
          questions.push({ half, topic, brokerName: bname, offsetMsgId, message: decodeRecord(body) });
          return { code: 0 };
        },
      }),
    ],
    lanes: { all: { maxInFlight: 1000 } },
  });
  const address = `${broker.address.host}:${broker.address.port}`;
  const transport = new LocalTransport({ endpoints: new Map([[address, broker.table]]), table });
  onTestFinished(() => transport.close());
  const body = encodeHeartbeatData({
    clientID: `10.0.0.1@${group}`,
    producerDataSet: [{ groupName: group }],
    consumerDataSet: [],
    heartbeatFingerprint: 0,
    withoutSub: false,
  });
  await transport.invoke(address, requestCommand(REQUEST_CODE.HEART_BEAT, emptyHeader.encode({}), body), 60_000);
  return { questions, close: () => transport.close() };
}
