/** `mqadmin statsAll`: traffic and backlog of each topic and consumer group. Upstream: `StatsAllSubCommand`. */
import type { Admin } from '../../client/admin.js';
import type { Session } from '../../client/session.js';
import type { CommandCall } from '../command.js';
import { columns, textOption, withAdmin } from './adminCall.js';

const WIDTHS = [64, 64, 12, 11, 11, 14, 14];
const TITLES = ['#Topic', '#Consumer Group', '#Accumulation', '#InTPS', '#OutTPS', '#InMsg24Hour', '#OutMsg24Hour'];

interface Traffic {
  tps: number;
  day: number;
}

export function run(call: CommandCall): Promise<number> {
  const only = textOption(call, 'topic');
  const activeOnly = call.options['activeTopic'] === true;
  return withAdmin(call, async (admin, session) => {
    call.terminal.out(columns(WIDTHS, TITLES));
    const topics = (await admin.topics()).filter((topic) => !/^%(RETRY|DLQ)%/.test(topic));
    for (const topic of topics.filter((each) => only === undefined || each === only)) {
      const addresses = await mastersOf(admin, topic);
      const put = await sumOf(session, addresses, 'TOPIC_PUT_NUMS', topic);
      if (activeOnly && put.day === 0) continue;
      const groups = new Set<string>();
      for (const address of addresses) {
        for (const group of await session.inspectionCalls.groupsOfTopic(address, topic)) groups.add(group);
      }
      const inCells = [put.tps.toFixed(2), put.day] as const;
      if (groups.size === 0)
        call.terminal.out(columns(WIDTHS, [topic, '', 0, inCells[0], '0.00', inCells[1], 'NO_CONSUMER']));
      for (const group of groups) {
        const { offsetTable } = await admin.consumeStats(group, topic);
        const accumulation = offsetTable.reduce((sum, [, each]) => sum + each.brokerOffset - each.consumerOffset, 0);
        const got = await sumOf(session, addresses, 'GROUP_GET_NUMS', `${topic}@${group}`);
        const cells = [topic, group, accumulation, inCells[0], got.tps.toFixed(2), inCells[1], got.day];
        call.terminal.out(columns(WIDTHS, cells));
      }
    }
  });
}

async function mastersOf(admin: Admin, topic: string): Promise<string[]> {
  const route = await admin.topicRoute(topic);
  return (route?.brokerDatas ?? []).flatMap(({ brokerAddrs }) => brokerAddrs.get(0) ?? []);
}

async function sumOf(session: Session, addresses: readonly string[], name: string, key: string): Promise<Traffic> {
  const total = { tps: 0, day: 0 };
  for (const address of addresses) {
    const stats = await session.statisticsCalls.stats(address, name, key);
    total.tps += stats?.minute.tps ?? 0;
    total.day += stats?.day.sum ?? 0;
  }
  return total;
}
