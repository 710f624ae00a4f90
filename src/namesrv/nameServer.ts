/**
 * A name server: topic routes in memory, fed by brokers that register, and a small persistent KV configuration.
 * Assembly only; `brokerRegistry.ts` holds the rules of registration, `namesrvProcessors.ts` the requests. Name servers
 * do not know each other. Upstream: `NamesrvController`.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { diskFiles, type Files } from '../base/files.js';
import { Lifecycle } from '../base/lifecycle.js';
import { type Logger, silentLogger } from '../base/logger.js';
import type { NamesrvConfig } from '../config/namesrvConfig.js';
import type { HostAddress } from '../protocol/message.js';
import { ProcessorTable } from '../remoting/processorTable.js';
import { RemotingServer } from '../remoting/remotingServer.js';
import { BrokerRegistry } from './brokerRegistry.js';
import { KvConfig } from './kvConfig.js';
import { notifyLowestId } from './lowestIdNotice.js';
import { NAMESRV_LANES, namesrvRows } from './namesrvProcessors.js';
import { NamesrvSettings } from './namesrvSettings.js';
import { emptyTables } from './routeTables.js';

export interface NameServerOptions {
  config: NamesrvConfig;
  /** Open the TCP port? Default true; without it the table serves callers in this process. */
  listen?: boolean;
  clock?: Clock;
  logger?: Logger;
  files?: Files;
}

export class NameServer {
  /** Answers every request, for a `LocalTransport`. */
  readonly table: ProcessorTable;
  readonly #lifecycle = new Lifecycle('name server');
  #address: HostAddress | undefined;

  private constructor(table: ProcessorTable) {
    this.table = table;
  }

  /** Returns a name server that answers. Throws PORT_TAKEN, or CORRUPTION for a KV configuration that is unreadable. */
  static async start(options: NameServerOptions): Promise<NameServer> {
    const { config, listen = true, clock = systemClock, logger = silentLogger, files = diskFiles } = options;
    const kvConfig = KvConfig.load({ file: config.kvConfigPath, files, logger });
    const settings = new NamesrvSettings({ config, files });
    const tables = emptyTables();
    const registry = new BrokerRegistry({
      tables,
      clock,
      logger,
      removesMissingTopics: () => settings.values.deleteTopicWithBrokerRegistration,
      onLowestIdChanged(brokerName, goneAddr) {
        if (settings.values.notifyMinBrokerIdChanged) notifyLowestId(tables, brokerName, goneAddr);
      },
    });
    const table = new ProcessorTable({
      rows: namesrvRows({ tables, registry, kvConfig, settings, clock }),
      lanes: NAMESRV_LANES,
      logger,
    });
    const nameServer = new NameServer(table);
    await nameServer.#lifecycle.start(async (closes) => {
      const scan = clock.every(config.scanNotActiveBrokerInterval, () => registry.expireSilent());
      closes.push(() => scan.cancel());
      if (listen) {
        const server = await RemotingServer.listen({
          port: config.listenPort,
          host: config.bindAddress,
          table,
          maxConnections: config.maxConnections,
          maxFrameBytes: config.maxFrameBytes,
          writeBufferHighWaterMark: config.writeBufferHighWaterMark,
          maxUnsentBytes: config.maxUnsentBytes,
          maxBufferedBytes: config.maxBufferedBytes,
          idleMillis: config.serverChannelMaxIdleTimeSeconds * 1000,
          clock,
          logger,
        });
        closes.push(() => server.close());
        nameServer.#address = server.address;
      }
      // Before the connections close, or each would be reported as a broker that hung up.
      closes.push(() => registry.stop());
    });
    return nameServer;
  }

  /** Where it listens; undefined without a TCP port. */
  get address(): HostAddress | undefined {
    return this.#address;
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
