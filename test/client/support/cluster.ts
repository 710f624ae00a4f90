/**
 * A name server and a broker of this process on a fresh directory, reached over TCP or without sockets, and sessions
 * to them. The broker can be stopped and started again at the same address and on the same directory.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Broker } from '../../../src/broker/broker.js';
import type { SessionOptions } from '../../../src/client/clientTypes.js';
import { Session } from '../../../src/client/session.js';
import { type BrokerConfig, defaultBrokerConfig } from '../../../src/config/brokerConfig.js';
import { defaultNamesrvConfig } from '../../../src/config/namesrvConfig.js';
import { NameServer } from '../../../src/namesrv/nameServer.js';
import { LocalTransport } from '../../../src/remoting/localLink.js';
import type { ProcessorTable } from '../../../src/remoting/processorTable.js';
import { RemotingClient } from '../../../src/remoting/remotingClient.js';

export type Reach = 'local' | 'tcp';

export class TestCluster {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-client-'));
  readonly #reach: Reach;
  readonly #config: Partial<BrokerConfig>;
  readonly #endpoints = new Map<string, ProcessorTable>();
  readonly #transports = new Set<LocalTransport>();
  readonly #sessions: Session[] = [];
  #nameServer: NameServer | undefined;
  #broker: Broker | undefined;
  #namesrvAddr = 'namesrv:9876';
  #brokerAddr = '127.0.0.1:10911';

  private constructor(reach: Reach, config: Partial<BrokerConfig>) {
    this.#reach = reach;
    this.#config = config;
  }

  static async start(reach: Reach, config: Partial<BrokerConfig> = {}): Promise<TestCluster> {
    const cluster = new TestCluster(reach, config);
    const { directory } = cluster;
    const listen = reach === 'tcp';
    const namesrvConfig = defaultNamesrvConfig({
      listenPort: 0,
      bindAddress: '127.0.0.1',
      kvConfigPath: path.join(directory, 'namesrv', 'kvConfig.json'),
      configStorePath: path.join(directory, 'namesrv', 'namesrv.properties'),
    });
    const nameServer = await NameServer.start({ config: namesrvConfig, listen });
    cluster.#nameServer = nameServer;
    if (nameServer.address) cluster.#namesrvAddr = `127.0.0.1:${nameServer.address.port}`;
    else cluster.#endpoints.set(cluster.#namesrvAddr, nameServer.table);
    await cluster.startBroker();
    return cluster;
  }

  get namesrvAddr(): string {
    return this.#namesrvAddr;
  }

  get brokerAddr(): string {
    return this.#brokerAddr;
  }

  async startBroker(): Promise<void> {
    const listen = this.#reach === 'tcp';
    const knownPort = this.#broker?.address.port ?? 0;
    const config = defaultBrokerConfig({
      storePathRootDir: path.join(this.directory, 'store'),
      mappedFileSizeCommitLog: 4 * 1024 * 1024,
      mappedFileSizeConsumeQueue: 20 * 4096,
      maxHashSlotNum: 10_000,
      maxIndexNum: 40_000,
      ...this.#config,
      namesrvAddr: this.#namesrvAddr,
      bindAddress: '127.0.0.1',
      brokerIP1: '127.0.0.1',
      listenPort: listen ? knownPort : 10911,
    });
    const transport = listen ? undefined : this.#connect();
    this.#broker = await Broker.start({ config, listen, ...(transport ? { transport } : {}) });
    this.#brokerAddr = `127.0.0.1:${this.#broker.address.port}`;
    if (!listen) this.#endpoints.set(this.#brokerAddr, this.#broker.table);
  }

  async stopBroker(): Promise<void> {
    this.#endpoints.delete(this.#brokerAddr);
    for (const transport of this.#transports) transport.disconnect(this.#brokerAddr);
    await this.#broker?.stop();
  }

  #connect(table?: ProcessorTable): LocalTransport {
    const transport = new LocalTransport({ endpoints: this.#endpoints, ...(table ? { table } : {}) });
    this.#transports.add(transport);
    return transport;
  }

  /** A transport over TCP with a table of the caller's. */
  tcp(table: ProcessorTable): RemotingClient {
    return new RemotingClient({ table });
  }

  async session(options: Partial<SessionOptions> = {}): Promise<Session> {
    const local = this.#reach === 'local' ? { transport: (table: ProcessorTable) => this.#connect(table) } : {};
    const session = await Session.open({ namesrvAddr: this.#namesrvAddr, ...local, ...options });
    this.#sessions.push(session);
    return session;
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) await session.close();
    await this.stopBroker();
    for (const transport of this.#transports) await transport.close();
    await this.#nameServer?.stop();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
