/**
 * Keeps this broker registered with every name server: in full at start, every period and after a connection was lost,
 * and as soon as a topic changes; unregisters at stop. Each name server is reached over one long-lived connection,
 * because it takes a broker out when that closes. Upstream: `BrokerOuterAPI`, `BrokerController.registerBrokerAll`,
 * `needRegister`, `registerSingleTopicAll`.
 *
 * A name server takes a registration of one topic for a change and any other for the whole: one changed topic goes
 * alone, several go with all the rest.
 */
import { crc32 } from 'node:zlib';
import type { Clock, Timer } from '../base/clock.js';
import { delay } from '../base/clock.js';
import { FoldlogError, messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { BrokerConfig } from '../config/brokerConfig.js';
import type { DataVersion, TopicConfig, TopicConfigTable, TopicRouteData } from '../protocol/bodies.js';
import {
  decodeKVTable,
  decodeTopicRouteData,
  encodeCompressedRegistration,
  encodeDataVersion,
  encodeRegisterBrokerBody,
  encodeTopicRouteData,
} from '../protocol/bodies.js';
import {
  getRouteInfoByTopicHeader,
  queryDataVersionHeader,
  queryDataVersionResponseHeader,
  registerBrokerHeader,
  registerTopicInNamesrvHeader,
  unregisterBrokerHeader,
} from '../protocol/headers/namesrv.js';
import { PERM } from '../protocol/names.js';
import { type RemotingCommand, requestCommand } from '../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE, responseCodeName } from '../protocol/responseCodes.js';
import type { Transport } from '../remoting/transport.js';
import type { BrokerIdentity } from './brokerIdentity.js';

/** How often lost name servers are tried again. */
const RETRY_MILLIS = 2000;
/** At start, until the first one answers. */
const FIRST_RETRY_MILLIS = 200;
/** What waits for a changed topic to be known waits no longer. */
const ANNOUNCE_TIMEOUT_MILLIS = 3000;
const UNREGISTER_TIMEOUT_MILLIS = 3000;
const ROUTE_TIMEOUT_MILLIS = 3000;

type RegistrationConfig = Pick<
  BrokerConfig,
  | 'brokerIP2'
  | 'brokerPermission'
  | 'compressedRegister'
  | 'enableSingleTopicRegister'
  | 'forceRegister'
  | 'haListenPort'
  | 'registerBrokerTimeoutMills'
  | 'registerNameServerPeriod'
>;

export interface RegistrationParts {
  identity: BrokerIdentity;
  /** `host:port` of each. */
  nameServers: readonly string[];
  transport: Transport;
  topics: { snapshot(): TopicConfigTable; markOrdered(names: Iterable<string>): void };
  config: RegistrationConfig;
  clock: Clock;
  logger: Logger;
}

interface NameServer {
  readonly address: string;
  isRegistered: boolean;
  /** The full registration under way. */
  registering: Promise<boolean> | undefined;
  isReported: boolean;
  lastFailure: string;
}

export class Registration {
  readonly #parts: RegistrationParts;
  readonly #nameServers: readonly NameServer[];
  readonly #timers: Timer[] = [];
  readonly #stopped = new AbortController();
  readonly #changed = new Map<string, TopicConfig>();
  #isRunning = false;
  #lastAnnouncement: Promise<void> = Promise.resolve();
  #nextAnnouncement: Promise<void> | undefined;

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
    this.#nameServers = parts.nameServers.map((address) => ({
      address,
      isRegistered: false,
      registering: undefined,
      isReported: false,
      lastFailure: 'no answer',
    }));
  }

  /**
   * Registers with all name servers and resolves when one of them has taken the broker; the others are tried again in
   * the background. With `isRequired`, throws CONNECT_FAILED when none answers in time.
   */
  async start({ isRequired }: { isRequired: boolean }): Promise<void> {
    const { clock, config } = this.#parts;
    if (this.#nameServers.length === 0) return;
    this.#isRunning = true;
    const period = config.registerNameServerPeriod;
    this.#timers.push(
      clock.every(period, () => this.#registerAll(() => true, { isForced: config.forceRegister })),
      clock.every(RETRY_MILLIS, () => this.#registerAll((server) => this.#isLost(server))),
    );
    const deadline = clock.monotonic() + config.registerBrokerTimeoutMills;
    do {
      const attempts = this.#registerAll((server) => !server.isRegistered);
      if (await firstTrue(attempts)) return;
      if (!isRequired) return;
      await delay(clock, FIRST_RETRY_MILLIS, this.#stopped.signal);
    } while (clock.monotonic() < deadline && this.#isRunning);
    const [first] = this.#nameServers;
    throw new FoldlogError(
      'CONNECT_FAILED',
      `no name server of ${this.#parts.nameServers.join(';')} took the broker within ` +
        `${config.registerBrokerTimeoutMills} ms (${first?.lastFailure}): start one or correct namesrvAddr`,
      { retriable: true },
    );
  }

  /** Tells the name servers of changed topics; resolves when they know or cannot be told now. Never rejects. */
  announce(topics: readonly TopicConfig[]): Promise<void> {
    if (!this.#isRunning) return Promise.resolve();
    for (const topic of topics) this.#changed.set(topic.topicName, topic);
    // Changes that come while one announcement is under way share the next.
    this.#nextAnnouncement ??= this.#lastAnnouncement = this.#lastAnnouncement.then(() => {
      this.#nextAnnouncement = undefined;
      const topicConfigTable = new Map(this.#changed);
      this.#changed.clear();
      return this.#announceAll(topicConfigTable);
    });
    return this.#nextAnnouncement;
  }

  /** Registers in full with all name servers: what they were told has changed. Never rejects. */
  async registerAgain(): Promise<void> {
    if (!this.#isRunning) return;
    // The one under way may have been made of what was before.
    await Promise.all(this.#nameServers.map(({ registering }) => registering));
    await Promise.all(this.#registerAll(() => true));
  }

  /** The route of a topic over all brokers; undefined when no name server tells. */
  async routeOf(topic: string): Promise<TopicRouteData | undefined> {
    for (const { address, isRegistered } of this.#nameServers) {
      if (!isRegistered) continue;
      try {
        const request = requestCommand(
          REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC,
          getRouteInfoByTopicHeader.encode({ topic, acceptStandardJsonOnly: true }),
        );
        const response = await this.#parts.transport.invoke(address, request, ROUTE_TIMEOUT_MILLIS);
        if (response.code === RESPONSE_CODE.SUCCESS) return decodeTopicRouteData(response.body);
      } catch {
        // The next one may know; the retry timer sees to this one.
      }
    }
    return undefined;
  }

  /** Takes the broker out of all name servers that have it. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#stopped.abort();
    for (const timer of this.#timers.splice(0)) timer.cancel();
    const { transport, logger } = this.#parts;
    await Promise.all(
      this.#nameServers.map(async (server) => {
        await this.#settled(server);
        if (!server.isRegistered) return;
        server.isRegistered = false;
        const header = unregisterBrokerHeader.encode(this.#names());
        try {
          const request = requestCommand(REQUEST_CODE.UNREGISTER_BROKER, header);
          await transport.invoke(server.address, request, UNREGISTER_TIMEOUT_MILLIS);
        } catch (thrown) {
          logger.warn(
            { nameServer: server.address, reason: messageOf(thrown) },
            'the broker could not be unregistered',
          );
        }
      }),
    );
  }

  /** The registration under way has ended, or takes too long to wait for. */
  async #settled({ registering }: NameServer): Promise<void> {
    if (!registering) return;
    const ended = new AbortController();
    void registering.then(() => ended.abort());
    await delay(this.#parts.clock, UNREGISTER_TIMEOUT_MILLIS, ended.signal);
  }

  #isLost(server: NameServer): boolean {
    return !server.isRegistered || !this.#parts.transport.isConnected(server.address);
  }

  #registerAll(isMeant: (server: NameServer) => boolean, { isForced = true } = {}): Promise<boolean>[] {
    return this.#nameServers.filter(isMeant).map((server) => {
      server.registering ??= this.#registerInFull(server, isForced).finally(() => {
        server.registering = undefined;
      });
      return server.registering;
    });
  }

  async #registerInFull(server: NameServer, isForced: boolean): Promise<boolean> {
    const { registerBrokerTimeoutMills } = this.#parts.config;
    if (!isForced && server.isRegistered && (await this.#isUpToDate(server))) return true;
    const table = this.#parts.topics.snapshot();
    return this.#attempt(server, () => this.#register(server, table, registerBrokerTimeoutMills));
  }

  /** Does the name server hold our version? A look that fails leads to a registration, which tells why. */
  async #isUpToDate({ address }: NameServer): Promise<boolean> {
    const { transport, topics, config } = this.#parts;
    const version: DataVersion = topics.snapshot().dataVersion;
    try {
      const request = requestCommand(
        REQUEST_CODE.QUERY_DATA_VERSION,
        queryDataVersionHeader.encode(this.#names()),
        encodeDataVersion(version),
      );
      const response = await transport.invoke(address, request, config.registerBrokerTimeoutMills);
      if (response.code !== RESPONSE_CODE.SUCCESS) return false;
      return !queryDataVersionResponseHeader.decode(response.extFields).changed;
    } catch {
      return false;
    }
  }

  async #announceAll(changed: Map<string, TopicConfig>): Promise<void> {
    const { config, topics } = this.#parts;
    const timeoutMillis = Math.min(ANNOUNCE_TIMEOUT_MILLIS, config.registerBrokerTimeoutMills);
    const all = topics.snapshot();
    const table = changed.size === 1 ? { ...all, topicConfigTable: changed } : all;
    await Promise.all(
      this.#nameServers.map(async (server) => {
        if (!server.isRegistered || !this.#isRunning) return;
        // One that is lost gets everything when it is back; nobody waits for that.
        if (this.#isLost(server)) return void this.#registerAll((one) => one === server);
        await this.#attempt(server, () =>
          config.enableSingleTopicRegister
            ? this.#registerTopics(server, changed, timeoutMillis)
            : this.#register(server, table, timeoutMillis),
        );
      }),
    );
  }

  async #register({ address }: NameServer, table: TopicConfigTable, timeoutMillis: number): Promise<void> {
    const { transport, topics } = this.#parts;
    const response = await transport.invoke(address, this.#requestOf(table), timeoutMillis);
    assertTaken(response);
    // The order topics of the whole cluster; upstream sends them with each answer.
    if (response.body.length > 0) topics.markOrdered(decodeKVTable(response.body).table.keys());
  }

  /** Says of each topic where its queues are, and nothing of the others. */
  async #registerTopics({ address }: NameServer, topics: Map<string, TopicConfig>, timeoutMillis: number) {
    const { transport, identity, config } = this.#parts;
    for (const [topic, { readQueueNums, writeQueueNums, perm, topicSysFlag }] of restricted(
      topics,
      config.brokerPermission,
    )) {
      const { brokerName } = identity;
      const queueDatas = [{ brokerName, readQueueNums, writeQueueNums, perm, topicSysFlag }];
      const route = encodeTopicRouteData({ queueDatas, brokerDatas: [], filterServerTable: new Map() }, 'standard');
      const header = registerTopicInNamesrvHeader.encode({ topic });
      const request = requestCommand(REQUEST_CODE.REGISTER_TOPIC_IN_NAMESRV, header, route);
      assertTaken(await transport.invoke(address, request, timeoutMillis));
    }
  }

  /** Notes whether the name server took what it was told; false when it did not. */
  async #attempt(server: NameServer, tell: () => Promise<void>): Promise<boolean> {
    const { logger } = this.#parts;
    const { address } = server;
    try {
      await tell();
      if (!server.isRegistered) logger.info({ nameServer: address }, 'registered');
      server.isRegistered = true;
      server.isReported = false;
      return true;
    } catch (thrown) {
      server.isRegistered = false;
      server.lastFailure = messageOf(thrown);
      if (!server.isReported && this.#isRunning) {
        logger.warn({ nameServer: address, reason: server.lastFailure }, 'name server lost: trying again');
      }
      server.isReported = true;
      return false;
    }
  }

  /** The four fields that name a broker. */
  #names() {
    const { brokerName, clusterName, addressText: brokerAddr } = this.#parts.identity;
    return { brokerName, clusterName, brokerAddr, brokerId: 0 };
  }

  #requestOf({ dataVersion, topicConfigTable }: TopicConfigTable) {
    const { config } = this.#parts;
    const registration = {
      dataVersion,
      topicConfigTable: restricted(topicConfigTable, config.brokerPermission),
      filterServerList: [],
    };
    const compressed = config.compressedRegister;
    const body = compressed ? encodeCompressedRegistration(registration) : encodeRegisterBrokerBody(registration);
    const header = registerBrokerHeader.encode({
      ...this.#names(),
      haServerAddr: `${config.brokerIP2}:${config.haListenPort}`,
      enableActingMaster: false,
      compressed,
      bodyCrc32: crc32(body) & 0x7fffffff,
    });
    return requestCommand(REQUEST_CODE.REGISTER_BROKER, header, body);
  }
}

function assertTaken({ code, remark }: RemotingCommand): void {
  if (code !== RESPONSE_CODE.SUCCESS) throw new Error(`${responseCodeName(code)} ${remark ?? ''}`);
}

/** What the whole broker may not do, none of its topics may. */
function restricted(topics: Map<string, TopicConfig>, brokerPermission: number): Map<string, TopicConfig> {
  const both = PERM.READ | PERM.WRITE;
  if ((brokerPermission & both) === both) return topics;
  const mask = ~both | brokerPermission;
  return new Map([...topics].map(([name, topic]) => [name, { ...topic, perm: topic.perm & mask }]));
}

/** True as soon as one attempt succeeds, false when all have failed. */
function firstTrue(attempts: readonly Promise<boolean>[]): Promise<boolean> {
  return new Promise((resolve) => {
    for (const attempt of attempts) void attempt.then((isDone) => isDone && resolve(true));
    void Promise.all(attempts).then(() => resolve(false));
  });
}
