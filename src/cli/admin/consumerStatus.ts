/**
 * `mqadmin consumerStatus`: what the members of a consumer group say of themselves, as JSON. Of one member it is
 * printed, of all it is written to a file each, named by the client. Upstream: `ConsumerStatusSubCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import { joinPath } from '../../base/files.js';
import { versionName } from '../../client/versionName.js';
import type { CommandCall } from '../command.js';
import { allMasters, columns, requiredText, textOption, withAdmin } from './adminCall.js';

const WIDTHS = [4, 40, 20, 40];

export function run(call: CommandCall): Promise<number> {
  const group = requiredText(call, 'consumerGroup');
  const onlyId = textOption(call, 'clientId');
  const brokerAddr = textOption(call, 'brokerAddr');
  const withStacks = call.options['jstack'] === true;
  const { terminal } = call;
  return withAdmin(call, async (admin, session) => {
    const addresses = brokerAddr === undefined ? (await allMasters(admin)).map(({ address }) => address) : [brokerAddr];
    for (const address of addresses) {
      const found = await session.inspectionCalls.consumerConnections(address, group);
      if (!found) continue;
      const infoOf = (clientId: string) =>
        session.statisticsCalls.runningInfo(address, group, clientId, withStacks).then(jsonText);
      if (onlyId !== undefined) {
        terminal.out(await infoOf(onlyId));
        return;
      }
      const directory = String(terminal.clock.now());
      terminal.files.makeDirectory(directory);
      terminal.out(columns(WIDTHS, ['#Index', '#ClientId', '#Version', '#ConsumerRunningInfoFile']));
      for (const [index, { clientId, version }] of found.connections.entries()) {
        // The id was chosen by another program: no character of it leaves the directory.
        const file = joinPath(directory, clientId.replaceAll(/[^A-Za-z0-9@#_-]/g, '_'));
        terminal.files.writeFile(file, `${await infoOf(clientId)}\n`);
        terminal.out(columns(WIDTHS, [String(index + 1).padStart(3, '0'), clientId, versionName(version), file]));
      }
      return;
    }
    throw new FoldlogError('CONNECT_FAILED', `no member of consumer group ${group} is connected`, { group });
  });
}

/** Maps that are keyed by objects become lists of pairs: JSON has no such maps. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, (_name, each) => (each instanceof Map ? [...each] : each), 2);
}
