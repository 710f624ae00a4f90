/** `mqadmin getConsumerConfig`: a group's configuration on each broker. Upstream: `GetConsumerConfigSubCommand`. */
import { FoldlogError } from '../../base/errors.js';
import type { CommandCall } from '../command.js';
import { allMasters, requiredText, withAdmin } from './adminCall.js';
import { textOf } from './groupConfigText.js';

const RULE = '='.repeat(29);

export function run(call: CommandCall): Promise<number> {
  const groupName = requiredText(call, 'groupName');
  return withAdmin(call, async (admin, session) => {
    let found = 0;
    for (const { cluster, brokerName, address } of await allMasters(admin)) {
      // The table of groups is asked for: a broker creates a group that is asked for by name.
      const config = (await session.inspectionCalls.groups(address)).get(groupName);
      if (!config) continue;
      found += 1;
      call.terminal.out(`${RULE}${cluster}:${brokerName}${RULE}`);
      for (const [name, value] of Object.entries(config)) call.terminal.out(`${name.padEnd(40)}=  ${textOf(value)}`);
    }
    if (found === 0)
      throw new FoldlogError('TOPIC_NOT_FOUND', `no broker has a consumer group ${groupName}`, { groupName });
  });
}
