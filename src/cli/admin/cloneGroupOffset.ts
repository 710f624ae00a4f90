/** `mqadmin cloneGroupOffset`: gives one group the progress of another. Upstream: `CloneGroupOffsetCommand`. */
import type { CommandCall } from '../command.js';
import { flagOption, requiredText, routeOrRefuse, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const srcGroup = requiredText(call, 'srcGroup');
  const destGroup = requiredText(call, 'destGroup');
  const topic = requiredText(call, 'topic');
  const offline = flagOption(call, 'offline', false);
  return withAdmin(call, async (admin, session) => {
    for (const { brokerAddrs } of (await routeOrRefuse(admin, topic)).brokerDatas) {
      const address = brokerAddrs.get(0);
      if (address === undefined) continue;
      await session.statisticsCalls.cloneOffsets(address, { srcGroup, destGroup, topic, offline });
    }
    call.terminal.out(`clone group offset success. srcGroup[${srcGroup}], destGroup=[${destGroup}], topic[${topic}]`);
  });
}
