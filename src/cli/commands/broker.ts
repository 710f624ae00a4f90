/** `foldlog broker`: a broker alone, registered with name servers that run elsewhere. */
import { readBrokerConfig } from '../../config/brokerConfig.js';
import { localAddress } from '../../embedded/addresses.js';
import { startBroker } from '../../embedded/startBroker.js';
import type { CommandCall } from '../command.js';
import { STORE_DEFAULT } from '../command.js';
import { readConfigFile } from '../configFile.js';
import { usageError } from '../errorLine.js';
import { serve } from '../serve.js';

export async function run(call: CommandCall): Promise<number> {
  const { options, terminal, logger } = call;
  const { namesrv, store, port, config: file } = options as BrokerOptions;
  const { config, given, warnings } = readBrokerConfig(
    readConfigFile(file, terminal),
    {
      ...(namesrv !== undefined && { namesrvAddr: namesrv }),
      ...(store !== undefined && { storePathRootDir: store }),
      ...(port !== undefined && { listenPort: port }),
    },
    localAddress(),
  );
  for (const warning of warnings) logger.warn({}, warning);
  const namesrvAddr = config.namesrvAddr || terminal.env['NAMESRV_ADDR'] || '';
  if (namesrvAddr === '') throw usageError('a broker needs a name server: give -n HOST:PORT or set NAMESRV_ADDR');
  const home = given.has('storePathRootDir') ? config.storePathRootDir : STORE_DEFAULT;
  return serve(call, {
    home,
    roles: ['broker'],
    async start() {
      const broker = await startBroker({
        config,
        ...(file !== undefined && { configFile: file }),
        store: home,
        namesrvAddr,
        logger,
      });
      const address = `${broker.address.host}:${broker.address.port}`;
      return [{ role: 'broker', address, stop: () => broker.stop() }];
    },
  });
}

interface BrokerOptions {
  namesrv?: string;
  store?: string;
  port?: number;
  config?: string;
}
