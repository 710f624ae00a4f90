/**
 * A name server and a broker in this process. They, and clients of this process, reach each other without sockets:
 * `localLink.ts` carries the same commands that TCP would. With `listen` both open their ports too, for others.
 *
 * The halves can be stopped one by one; stopping one ends its links as if its port had gone.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { diskFiles } from '../base/files.js';
import { Lifecycle } from '../base/lifecycle.js';
import { type Logger, silentLogger } from '../base/logger.js';
import { Broker } from '../broker/broker.js';
import { type BrokerConfig, defaultBrokerConfig } from '../config/brokerConfig.js';
import { defaultNamesrvConfig, type NamesrvConfig } from '../config/namesrvConfig.js';
import { NameServer } from '../namesrv/nameServer.js';
import { LocalTransport } from '../remoting/localLink.js';
import type { ProcessorTable } from '../remoting/processorTable.js';
import { RemotingClient } from '../remoting/remotingClient.js';
import type { Transport } from '../remoting/transport.js';
import { localAddress, reachableAddress } from './addresses.js';
import type { ServerParts } from './serverOptions.js';

export interface StartEmbeddedOptions extends ServerParts {
  /** The store's directory; created when it does not exist. */
  store: string;
  /** Open the TCP ports, so that other processes reach both? Default false. */
  listen?: boolean;
  /** Default 9876; 0 means any free port. */
  namesrvPort?: number;
  /** Default 10911; 0 means any free port. */
  brokerPort?: number;
  /** Further keys of broker.conf. A `namesrvAddr` names more name servers to register with. */
  config?: Partial<BrokerConfig>;
  /** The file that `config` was read from; changes by UPDATE_BROKER_CONFIG are written there. Default: none. */
  configFile?: string;
  /** Further keys of namesrv.conf. The KV configuration is kept under the store unless it says otherwise. */
  namesrvConfig?: Partial<NamesrvConfig>;
}

/** Where the name server of a process without TCP ports is found; no machine has this name. */
const UNLISTENED_NAMESRV = 'embedded:9876';

export class Embedded {
  /** `host:port` of the name server; without TCP ports a name that only `transport` knows. */
  readonly namesrvAddr: string;
  /** `host:port` of the broker, as it is registered. */
  readonly brokerAddr: string;
  /** Reaches both without a socket, and other addresses over TCP. Takes no requests of servers: see {@link connect}. */
  readonly transport: Transport;
  readonly #network: LocalNetwork;
  readonly #nameServer: Lifecycle;
  readonly #broker: Lifecycle;

  private constructor(parts: {
    network: LocalNetwork;
    nameServer: Lifecycle;
    broker: Lifecycle;
    namesrvAddr: string;
    brokerAddr: string;
  }) {
    this.namesrvAddr = parts.namesrvAddr;
    this.brokerAddr = parts.brokerAddr;
    this.#network = parts.network;
    this.#nameServer = parts.nameServer;
    this.#broker = parts.broker;
    this.transport = parts.network.connect();
  }

  /**
   * Resolves when both answer and the broker is registered. Throws PORT_TAKEN, STORE_LOCKED, CORRUPTION,
   * OPTIONS_INVALID; nothing stays open then.
   */
  static async start(options: StartEmbeddedOptions): Promise<Embedded> {
    const { listen = false, clock = systemClock, logger = silentLogger, files = diskFiles } = options;
    const brokerConfig = brokerConfigOf(options);
    const namesrvConfig = namesrvConfigOf(options, brokerConfig);
    const network = new LocalNetwork({ clock, logger });
    const parts = { listen, clock, logger, files };
    const nameServer = new Lifecycle('name server');
    const broker = new Lifecycle('broker');
    let namesrvAddr = UNLISTENED_NAMESRV;
    let brokerAddr = '';
    try {
      await nameServer.start(async (closes) => {
        const started = await NameServer.start({ ...parts, config: namesrvConfig });
        closes.push(() => started.stop());
        if (started.address) namesrvAddr = reachableAddress(started.address);
        closes.push(network.add(namesrvAddr, started.table));
      });
      await broker.start(async (closes) => {
        const transport = network.connect();
        closes.push(() => transport.close());
        const namesrvAddrs = [namesrvAddr, brokerConfig.namesrvAddr].filter((address) => address !== '').join(';');
        const config = { ...brokerConfig, namesrvAddr: namesrvAddrs };
        const { configFile } = options;
        const started = await Broker.start({
          ...parts,
          config,
          transport,
          ...(configFile !== undefined && { configFile }),
        });
        closes.push(() => started.stop());
        brokerAddr = `${started.address.host}:${started.address.port}`;
        closes.push(network.add(brokerAddr, started.table));
      });
    } catch (error) {
      await nameServer.stop().catch(() => {});
      throw error;
    }
    return new Embedded({ network, nameServer, broker, namesrvAddr, brokerAddr });
  }

  /**
   * A transport of its own for one client: servers see each as a connection of its own, and send their requests to
   * `table`. Closed by its owner, or by {@link stop}.
   */
  connect(table?: ProcessorTable): Transport {
    return this.#network.connect(table);
  }

  /** Stops the broker; the name server goes on. */
  stopBroker(): Promise<void> {
    return this.#broker.stop();
  }

  /** Stops the name server; the broker goes on, unregistered. */
  stopNameServer(): Promise<void> {
    return this.#nameServer.stop();
  }

  /** Stops both, the broker first, and closes every transport. A second call returns the same promise. */
  async stop(): Promise<void> {
    try {
      await this.#broker.stop();
    } finally {
      await this.#nameServer.stop();
      await this.#network.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** The servers of this process by address, and the transports that reach them. */
class LocalNetwork {
  readonly #parts: { clock: Clock; logger: Logger };
  readonly #endpoints = new Map<string, ProcessorTable>();
  readonly #transports = new Set<LocalTransport>();

  constructor(parts: { clock: Clock; logger: Logger }) {
    this.#parts = parts;
  }

  /** Returns the way to take the server out, which ends its links. */
  add(address: string, table: ProcessorTable): () => void {
    this.#endpoints.set(address, table);
    return () => {
      this.#endpoints.delete(address);
      for (const transport of this.#transports) transport.disconnect(address);
    };
  }

  connect(table?: ProcessorTable): Transport {
    const withTable = table ? { table } : {};
    const fallback = new RemotingClient({ ...this.#parts, ...withTable });
    const transport = new LocalTransport({ ...this.#parts, ...withTable, endpoints: this.#endpoints, fallback });
    this.#transports.add(transport);
    return {
      invoke: (address, request, timeoutMillis) => transport.invoke(address, request, timeoutMillis),
      notify: (address, request) => transport.notify(address, request),
      isConnected: (address) => transport.isConnected(address),
      close: () => {
        this.#transports.delete(transport);
        return transport.close();
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#transports, (transport) => transport.close()));
    this.#transports.clear();
  }
}

function brokerConfigOf({ store, brokerPort, config }: StartEmbeddedOptions): BrokerConfig {
  const given = { ...config, storePathRootDir: store, ...(brokerPort !== undefined && { listenPort: brokerPort }) };
  return defaultBrokerConfig(given, localAddress());
}

function namesrvConfigOf(options: StartEmbeddedOptions, { bindAddress }: BrokerConfig): NamesrvConfig {
  const { store, namesrvPort, namesrvConfig } = options;
  return defaultNamesrvConfig({
    bindAddress,
    kvConfigPath: `${store}/namesrv/kvConfig.json`,
    configStorePath: `${store}/namesrv/namesrv.properties`,
    ...namesrvConfig,
    ...(namesrvPort !== undefined && { listenPort: namesrvPort }),
  });
}

/** Starts a name server and a broker in this process, on one directory. */
export function startEmbedded(options: StartEmbeddedOptions): Promise<Embedded> {
  return Embedded.start(options);
}
