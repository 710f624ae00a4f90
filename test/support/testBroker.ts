/**
 * A real broker on a temporary directory with small files, reached without a socket, on a clock that the test moves.
 * What it opens is closed after the test that asked for it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Logger } from '../../src/base/logger.js';
import type { BrokerOptions } from '../../src/broker/broker.js';
import { Broker } from '../../src/broker/broker.js';
import { joinProperties } from '../../src/broker/propertiesText.js';
import type { BrokerConfig } from '../../src/config/brokerConfig.js';
import { defaultBrokerConfig } from '../../src/config/brokerConfig.js';
import { encodeHeartbeatData, type SubscriptionData } from '../../src/protocol/bodies.js';
import {
  type AppendEventsRequest,
  type EventToAppend,
  encodeAppendEventsRequest,
} from '../../src/protocol/headers/events.js';
import {
  emptyHeader,
  type PullMessageHeader,
  pullMessageHeader,
  type SendMessageHeader,
  sendMessageV2Header,
  toSendMessageV2,
} from '../../src/protocol/headers/messaging.js';
import type { StoredMessage } from '../../src/protocol/message.js';
import { encodeProperties } from '../../src/protocol/messageProperties.js';
import { decodeRecords } from '../../src/protocol/messageRecord.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { buildSubscription } from '../../src/protocol/subscription.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { ManualClock } from './manualClock.js';
import { RawClient, type RawClientOptions } from './rawClient.js';

/** A directory that is removed after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-broker-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Files small enough for a test, big enough not to roll unasked. */
export const SMALL_FILES: Partial<BrokerConfig> = {
  mappedFileSizeCommitLog: 8 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 1000,
  maxHashSlotNum: 1000,
  maxIndexNum: 4000,
};

export interface TestBroker {
  broker: Broker;
  clock: ManualClock;
  directory: string;
  /** A connection of its own: another peer to the broker. */
  client(options?: RawClientOptions): RawClient;
  /** Stops this broker; the next one may open the directory. */
  stop(): Promise<void>;
}

export interface TestBrokerOptions extends Partial<Omit<BrokerOptions, 'config' | 'clock'>> {
  directory?: string;
  clock?: ManualClock;
  config?: Partial<BrokerConfig>;
}

export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { directory = temporaryDirectory(), clock = new ManualClock(), config = {}, ...rest } = options;
  const broker = await Broker.start({
    listen: false,
    ...rest,
    clock,
    config: defaultBrokerConfig({ storePathRootDir: directory, ...SMALL_FILES, ...config }),
  });
  const clients: RawClient[] = [];
  const stop = async () => {
    await Promise.all(clients.map((client) => client.close()));
    await broker.stop();
  };
  onTestFinished(stop);
  const address = `${broker.address.host}:${broker.address.port}`;
  return {
    broker,
    clock,
    directory,
    stop,
    client(clientOptions) {
      const client = new RawClient(
        address,
        (table) =>
          rest.listen
            ? new RemotingClient({ table })
            : new LocalTransport({ endpoints: new Map([[address, broker.table]]), table }),
        clientOptions,
      );
      clients.push(client);
      return client;
    },
  };
}

/** Lines that were logged, level first. */
export function recordingLogger(): Logger & { lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export interface Sending extends Partial<SendMessageHeader> {
  topic: string;
  body?: string | Buffer;
  props?: Record<string, string>;
}

export function sendHeader({ props, body: _body, ...header }: Sending): SendMessageHeader {
  return {
    producerGroup: 'PG',
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: 4,
    queueId: 0,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    flag: 0,
    properties: props && encodeProperties(props),
    reconsumeTimes: undefined,
    unitMode: undefined,
    maxReconsumeTimes: undefined,
    batch: undefined,
    bname: undefined,
    ...header,
  };
}

export function send(client: RawClient, sending: Sending): Promise<RemotingCommand> {
  const { body = 'body' } = sending;
  return client.call(
    REQUEST_CODE.SEND_MESSAGE_V2,
    sendMessageV2Header,
    toSendMessageV2(sendHeader(sending)),
    Buffer.from(body),
  );
}

export interface Pulling extends Partial<PullMessageHeader> {
  topic: string;
}

/** Pulls with the subscription in the request, without waiting, unless told otherwise. */
export function pull(client: RawClient, pulling: Pulling): Promise<RemotingCommand> {
  return client.call(REQUEST_CODE.PULL_MESSAGE, pullMessageHeader, {
    consumerGroup: 'CG',
    queueId: 0,
    queueOffset: 0,
    maxMsgNums: 32,
    sysFlag: 4,
    commitOffset: 0,
    suspendTimeoutMillis: 15_000,
    subscription: '*',
    subVersion: 0,
    ...pulling,
  });
}

export const messagesOf = (response: RemotingCommand): StoredMessage[] => decodeRecords(response.body);
export const bodiesOf = (response: RemotingCommand): string[] =>
  messagesOf(response).map(({ body }) => body.toString());

export interface Beat {
  clientId?: string;
  group: string;
  topics?: Record<string, string | { sql: string }>;
  messageModel?: string;
  subVersion?: number;
  withoutSub?: boolean;
  producers?: string[];
}

export function heartbeat(client: RawClient, beat: Beat): Promise<RemotingCommand> {
  const { clientId = '10.0.0.1@1', group, topics = {}, messageModel = 'CLUSTERING', subVersion = 1 } = beat;
  const subscriptionDataSet: SubscriptionData[] = Object.entries(topics).map(([topic, expression]) =>
    typeof expression === 'string'
      ? buildSubscription(topic, expression, 'TAG', subVersion)
      : buildSubscription(topic, expression.sql, 'SQL92', subVersion),
  );
  const body = encodeHeartbeatData({
    clientID: clientId,
    producerDataSet: (beat.producers ?? []).map((groupName) => ({ groupName })),
    consumerDataSet: [
      {
        groupName: group,
        consumeType: 'CONSUME_PASSIVELY',
        messageModel,
        consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
        subscriptionDataSet,
        unitMode: false,
      },
    ],
    heartbeatFingerprint: 0,
    withoutSub: beat.withoutSub ?? false,
  });
  return client.call(REQUEST_CODE.HEART_BEAT, emptyHeader, {}, body);
}

export interface EventLike {
  topic?: string;
  keys: [string, ...string[]];
  body?: string;
  props?: Record<string, string>;
}

export function eventOf({ topic = 'Events', keys, body = '{}', props = {} }: EventLike): EventToAppend {
  // Not encodeProperties: what a broker must refuse has to reach it.
  return { topic, keys, body: Buffer.from(body), propertiesText: joinProperties({ KEYS: keys.join(' '), ...props }) };
}

let appends = 0;

export function appendEvents(
  client: RawClient,
  request: Partial<Omit<AppendEventsRequest, 'events'>> & { events: EventLike[] },
): Promise<RemotingCommand> {
  appends += 1;
  const { extFields, body } = encodeAppendEventsRequest({
    appendId: `append-${appends}`,
    bornTimestamp: 1_700_000_000_000,
    expectedVersions: [],
    ...request,
    events: request.events.map(eventOf),
  });
  return client.callRaw(REQUEST_CODE.APPEND_EVENTS, extFields, body);
}
