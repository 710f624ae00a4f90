/** `foldlog namesrv`: a name server alone. Its KV configuration lies in `namesrv/` under its home directory. */
import { readNamesrvConfig } from '../../config/namesrvConfig.js';
import { reachableAddress } from '../../embedded/addresses.js';
import { startNameServer } from '../../embedded/startNameServer.js';
import type { CommandCall } from '../command.js';
import { STORE_DEFAULT } from '../command.js';
import { readConfigFile } from '../configFile.js';
import { serve } from '../serve.js';

export async function run(call: CommandCall): Promise<number> {
  const { options, terminal, logger } = call;
  const { store: home = STORE_DEFAULT, port, config: file } = options as NamesrvOptions;
  const settings = `${home}/namesrv/namesrv.properties`;
  // What UPDATE_NAMESRV_CONFIG changed holds for the next start; a file that is given stands in its place.
  const source = readConfigFile(file ?? (terminal.files.stat(settings) ? settings : undefined), terminal);
  const overrides = port === undefined ? {} : { listenPort: port };
  const { config, warnings } = readNamesrvConfig(source, overrides, `${home}/namesrv`);
  for (const warning of warnings) logger.warn({}, warning);
  return serve(call, {
    home,
    roles: ['namesrv'],
    async start() {
      const nameServer = await startNameServer({ config, logger });
      const address = nameServer.address ? reachableAddress(nameServer.address) : '';
      return [{ role: 'namesrv', address, stop: () => nameServer.stop() }];
    },
  });
}

interface NamesrvOptions {
  store?: string;
  port?: number;
  config?: string;
}
