/**
 * What the producers and consumers of one client share: connections, routes, heartbeats, timers, and the client id
 * under which brokers know them. Users join and leave; closing stops those that are left, then the connections.
 * A group may join once. Upstream: `MQClientInstance`.
 */
import os from 'node:os';
import process from 'node:process';
import { type Clock, systemClock } from '../base/clock.js';
import { LifecycleError, messageOf, OptionsError } from '../base/errors.js';
import { CloseStack } from '../base/lifecycle.js';
import { type Logger, silentLogger } from '../base/logger.js';
import { preferredHost, UniqKeyGenerator } from '../protocol/messageId.js';
import { ProcessorTable } from '../remoting/processorTable.js';
import { RemotingClient } from '../remoting/remotingClient.js';
import type { Transport } from '../remoting/transport.js';
import { AdminCalls } from './adminCalls.js';
import { BrokerCalls } from './brokerCalls.js';
import type { SessionOptions } from './clientTypes.js';
import { Heartbeat } from './heartbeat.js';
import { InspectionCalls } from './inspectionCalls.js';
import { NameServers, parseNamesrvAddr } from './nameServers.js';
import { NamesrvCalls } from './namesrvCalls.js';
import { Replies } from './replies.js';
import { Requests } from './requests.js';
import { Routes } from './routes.js';
import { CLIENT_LANES, type ConsumerMember, clientProcessors, type TransactionMember } from './serverRequests.js';
import { StatisticsCalls } from './statisticsCalls.js';

const REQUEST_TIMEOUT_MILLIS = 3000;
const POLL_NAME_SERVER_INTERVAL_MILLIS = 30_000;
const HEARTBEAT_BROKER_INTERVAL_MILLIS = 30_000;
const PERSIST_CONSUMER_OFFSET_INTERVAL_MILLIS = 5000;

/** Numbers the sessions of this process. */
let sessionCount = 0;

export class Session {
  /** `ip@instanceName` */
  readonly clientId: string;
  readonly namesrvAddr: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nameServers: NameServers;
  readonly routes: Routes;
  readonly brokerCalls: BrokerCalls;
  readonly adminCalls: AdminCalls;
  readonly inspectionCalls: InspectionCalls;
  readonly namesrvCalls: NamesrvCalls;
  readonly statisticsCalls: StatisticsCalls;
  readonly heartbeat: Heartbeat;
  /** Requests of the producers that wait for their reply. */
  readonly replies: Replies;
  /** Makes a UNIQ_KEY. */
  readonly nextUniqueKey: () => string;
  readonly #closes = new CloseStack();
  readonly #producers = new Map<string, number>();
  readonly #consumers = new Map<string, ConsumerMember>();
  readonly #transactionProducers = new Map<string, TransactionMember>();
  #closing: Promise<void> | undefined;

  private constructor(options: SessionOptions) {
    const { clock = systemClock, logger = silentLogger } = options;
    this.clock = clock;
    this.logger = logger;
    this.namesrvAddr = options.namesrvAddr;
    const addresses = parseNamesrvAddr(options.namesrvAddr);
    const host = localHost();
    sessionCount += 1;
    this.clientId = `${host}@${options.instanceName ?? `${process.pid}#${sessionCount}`}`;
    this.replies = new Replies({ clock });
    const uniqueKeys = new UniqKeyGenerator({ clock, host, processId: process.pid });
    this.nextUniqueKey = () => uniqueKeys.next();
    const transport = this.#openTransport(options);
    const requests = new Requests({
      transport,
      timeoutMillis: options.requestTimeoutMillis ?? REQUEST_TIMEOUT_MILLIS,
    });
    this.nameServers = new NameServers({ requests, addresses });
    this.brokerCalls = new BrokerCalls({ requests });
    this.adminCalls = new AdminCalls({ requests });
    this.inspectionCalls = new InspectionCalls({ requests });
    this.namesrvCalls = new NamesrvCalls({ requests });
    this.statisticsCalls = new StatisticsCalls({ requests });
    this.routes = new Routes({
      nameServers: this.nameServers,
      clock,
      logger,
      onNewBroker: () => void this.heartbeat.beatAll(),
    });
    this.heartbeat = new Heartbeat({
      clientId: this.clientId,
      calls: this.brokerCalls,
      routes: this.routes,
      clock,
      logger,
      liveGroups: () => ({
        producerGroups: [...this.#producers.keys()],
        consumers: [...this.#consumers.values()].map((consumer) => consumer.consumerData()),
      }),
      onRecovered: (address) => {
        for (const consumer of this.#consumers.values()) consumer.brokerRecovered(address);
      },
    });
  }

  /** Opens nothing yet: connections are made when they are first needed. Throws OptionsError for a wrong option. */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    session.#startTimers(options);
    return session;
  }

  #openTransport({ transport }: SessionOptions): Transport {
    const { clock, logger } = this;
    if (transport && typeof transport !== 'function') return transport;
    const rows = clientProcessors({
      consumerOf: (group) => this.#consumers.get(group),
      transactionProducerOf: (group) => this.#transactionProducers.get(group),
      onReply: (reply) => this.replies.deliver(reply),
      clock: this.clock,
      logger,
    });
    const table = new ProcessorTable({ rows, lanes: CLIENT_LANES, logger });
    const own = transport ? transport(table) : new RemotingClient({ table, clock, logger });
    this.#closes.push(() => own.close());
    return own;
  }

  #startTimers(options: SessionOptions): void {
    const every = (periodMillis: number, action: () => Promise<void>) => {
      const timer = this.clock.every(periodMillis, () => void action());
      this.#closes.push(() => timer.cancel());
    };
    this.#closes.push(() => this.heartbeat.stop());
    every(options.pollNameServerIntervalMillis ?? POLL_NAME_SERVER_INTERVAL_MILLIS, () => this.routes.refreshAll());
    every(options.heartbeatBrokerIntervalMillis ?? HEARTBEAT_BROKER_INTERVAL_MILLIS, () => this.heartbeat.beatAll());
    every(options.persistConsumerOffsetIntervalMillis ?? PERSIST_CONSUMER_OFFSET_INTERVAL_MILLIS, async () => {
      await Promise.all([...this.#consumers.values()].map((consumer) => consumer.persistOffsets()));
    });
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Several producers may have one group. Returns what takes this one out again. */
  joinProducer(group: string): () => void {
    this.#assertOpen();
    this.#producers.set(group, (this.#producers.get(group) ?? 0) + 1);
    let isLeft = false;
    return () => {
      if (isLeft) return;
      isLeft = true;
      const left = (this.#producers.get(group) ?? 1) - 1;
      if (left > 0) this.#producers.set(group, left);
      else {
        this.#producers.delete(group);
        void this.#unregister({ producerGroup: group });
      }
    };
  }

  /** Makes it the one that is asked for its group, beside {@link joinProducer}. Returns what takes it out again. */
  joinTransactionProducer(producer: TransactionMember): () => void {
    this.#assertOpen();
    const { group } = producer;
    if (this.#transactionProducers.has(group)) {
      throw new OptionsError(
        `group ${group} has a transaction producer in session ${this.clientId} already: open another session`,
        { group },
      );
    }
    this.#transactionProducers.set(group, producer);
    return () => {
      if (this.#transactionProducers.get(group) === producer) this.#transactionProducers.delete(group);
    };
  }

  /** Returns what takes the consumer out again; it resolves when the brokers know. */
  joinConsumer(consumer: ConsumerMember): () => Promise<void> {
    this.#assertOpen();
    const { group } = consumer;
    if (this.#consumers.has(group)) {
      throw new OptionsError(
        `group ${group} has a consumer in session ${this.clientId} already: open another session`,
        {
          group,
        },
      );
    }
    this.#consumers.set(group, consumer);
    return async () => {
      if (this.#consumers.get(group) !== consumer) return;
      this.#consumers.delete(group);
      await this.#unregister({ consumerGroup: group });
    };
  }

  /** Stops the consumers that are left and closes the connections; requests under way fail at once. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      const stops = [...this.#consumers.values()].map((consumer) => consumer.stop());
      await Promise.allSettled(stops);
      this.replies.close();
      const groups = [...this.#producers.keys()];
      this.#producers.clear();
      await Promise.all(groups.map((producerGroup) => this.#unregister({ producerGroup })));
      await this.#closes.closeAll();
    })();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Never rejects: a broker that is away forgets the client by itself. */
  async #unregister(groups: { producerGroup?: string; consumerGroup?: string }): Promise<void> {
    const addresses = this.routes.brokerAddresses({ mastersOnly: groups.consumerGroup === undefined });
    await Promise.all(
      addresses.map(async (address) => {
        try {
          await this.brokerCalls.unregister(address, this.clientId, groups);
        } catch (thrown) {
          this.logger.debug({ address, ...groups, reason: messageOf(thrown) }, 'unregistering failed');
        }
      }),
    );
  }

  #assertOpen(): void {
    if (this.isClosed) throw new LifecycleError(`session ${this.clientId} is closed`);
  }
}

/** The machine's address in client ids: an IPv4 one where there is one, since it becomes part of a directory name. */
function localHost(): string {
  const addresses = Object.values(os.networkInterfaces()).flatMap((list) => list ?? []);
  const v4 = addresses.filter(({ family }) => family === 'IPv4');
  return preferredHost(v4.length > 0 ? v4 : addresses);
}
