/** A name server on its own, from the few options that a program usually gives. */
import { defaultNamesrvConfig, type NamesrvConfig } from '../config/namesrvConfig.js';
import { NameServer } from '../namesrv/nameServer.js';
import type { ServerParts } from './serverOptions.js';

export interface StartNameServerOptions extends ServerParts {
  /** Keys of namesrv.conf. Default: RocketMQ's defaults, on 127.0.0.1:9876, KV configuration in memory. */
  config?: Partial<NamesrvConfig>;
  /** Open the TCP port? Default true. */
  listen?: boolean;
}

/**
 * Starts a name server; it answers when the promise resolves. Throws PORT_TAKEN, CORRUPTION (KV configuration),
 * OPTIONS_INVALID; nothing stays open then.
 *
 * @example
 * await using nameServer = await startNameServer({ config: { listenPort: 0 } });
 */
export function startNameServer({ config, ...options }: StartNameServerOptions = {}): Promise<NameServer> {
  return NameServer.start({ ...options, config: defaultNamesrvConfig(config) });
}
