/** `mqadmin producer`: all producers that are connected to a broker. Upstream: `ProducerSubCommand`. */
import { versionName } from '../../client/versionName.js';
import type { CommandCall } from '../command.js';
import { localTime, requiredText, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const address = requiredText(call, 'broker');
  return withAdmin(call, async (_admin, session) => {
    for (const [group, clients] of await session.statisticsCalls.producers(address)) {
      for (const { clientId, remoteIP, language, version, lastUpdateTimestamp } of clients) {
        call.terminal.out(
          `producer group (${group}) instance : clientId=${clientId}, remoteIP=${remoteIP}, ` +
            `language=${language ?? 'null'}, version=${versionName(version)}, ` +
            `lastUpdate=${localTime(lastUpdateTimestamp)}`,
        );
      }
    }
  });
}
