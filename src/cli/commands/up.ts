/** `foldlog up`: a name server and a broker in one process, on one directory. */
import { readBrokerConfig } from '../../config/brokerConfig.js';
import { localAddress } from '../../embedded/addresses.js';
import { startEmbedded } from '../../embedded/embedded.js';
import type { CommandCall } from '../command.js';
import { STORE_DEFAULT } from '../command.js';
import { readConfigFile } from '../configFile.js';
import { type ServedRole, serve } from '../serve.js';

export async function run(call: CommandCall): Promise<number> {
  const { options, terminal, logger } = call;
  const { store, brokerPort, namesrvPort, config: file } = options as UpOptions;
  const source = readConfigFile(file, terminal);
  const { config, given, warnings } = readBrokerConfig(
    source,
    {
      ...(store !== undefined && { storePathRootDir: store }),
      ...(brokerPort !== undefined && { listenPort: brokerPort }),
    },
    localAddress(),
  );
  for (const warning of warnings) logger.warn({}, warning);
  const home = given.has('storePathRootDir') ? config.storePathRootDir : STORE_DEFAULT;
  let finish = async () => {};
  return serve(call, {
    home,
    roles: ['namesrv', 'broker'],
    async start(): Promise<ServedRole[]> {
      const embedded = await startEmbedded({
        store: home,
        listen: true,
        config,
        ...(file !== undefined && { configFile: file }),
        ...(namesrvPort !== undefined && { namesrvPort }),
        logger,
      });
      finish = () => embedded.stop();
      return [
        { role: 'namesrv', address: embedded.namesrvAddr, stop: () => embedded.stopNameServer() },
        { role: 'broker', address: embedded.brokerAddr, stop: () => embedded.stopBroker() },
      ];
    },
    finish: () => finish(),
  });
}

interface UpOptions {
  store?: string;
  namesrvPort?: number;
  brokerPort?: number;
  config?: string;
}
