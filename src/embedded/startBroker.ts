/** A broker on its own, from the few options that a program usually gives. */
import { systemClock } from '../base/clock.js';
import { diskFiles } from '../base/files.js';
import { silentLogger } from '../base/logger.js';
import { Broker } from '../broker/broker.js';
import { type BrokerConfig, defaultBrokerConfig } from '../config/brokerConfig.js';
import type { Transport } from '../remoting/transport.js';
import { localAddress } from './addresses.js';
import type { ServerParts } from './serverOptions.js';

export interface StartBrokerOptions extends ServerParts {
  /** The store's directory; created when it does not exist. */
  store: string;
  /** Name servers, `HOST:PORT;HOST:PORT`. */
  namesrvAddr: string;
  /** Further keys of broker.conf. Default: RocketMQ's defaults, on 127.0.0.1:10911. */
  config?: Partial<BrokerConfig>;
  /** The file that `config` was read from; changes by UPDATE_BROKER_CONFIG are written there. Default: none. */
  configFile?: string;
  /** Open the TCP port? Default true. */
  listen?: boolean;
  /** How the name servers are reached. Default: TCP. */
  transport?: Transport;
}

/**
 * Starts a broker; it answers and is registered when the promise resolves. Throws STORE_LOCKED, CORRUPTION, PORT_TAKEN,
 * OPTIONS_INVALID, or CONNECT_FAILED when no name server can be reached; nothing stays open then.
 */
export function startBroker(options: StartBrokerOptions): Promise<Broker> {
  const { store, namesrvAddr, config, configFile, transport, listen = true, ...parts } = options;
  const { clock = systemClock, logger = silentLogger, files = diskFiles } = parts;
  return Broker.start({
    config: defaultBrokerConfig({ ...config, storePathRootDir: store, namesrvAddr }, localAddress()),
    ...(transport && { transport }),
    ...(configFile !== undefined && { configFile }),
    listen,
    clock,
    logger,
    files,
  });
}
