/** `mqadmin topicList`: one topic a line, or with cluster and consumer groups. Upstream: `TopicListSubCommand`. */

import type { Admin } from '../../client/admin.js';
import type { Session } from '../../client/session.js';
import type { CommandCall } from '../command.js';
import { allMasters, columns, withAdmin } from './adminCall.js';

const WIDTHS = [20, 48, 48];

export function run(call: CommandCall): Promise<number> {
  return withAdmin(call, async (admin, session) => {
    if (call.options['clusterModel'] === true) return listByCluster(admin, session, call);
    for (const topic of await admin.topics()) call.terminal.out(topic);
  });
}

/** Retry and dead-letter topics belong to their groups and are not listed. */
async function listByCluster(admin: Admin, session: Session, { terminal }: CommandCall): Promise<void> {
  terminal.out(columns(WIDTHS, ['#Cluster Name', '#Topic', '#Consumer Group']));
  const masters = await allMasters(admin);
  for (const cluster of new Set(masters.map((master) => master.cluster))) {
    const groupsOf = new Map<string, Set<string>>();
    for (const { address } of masters.filter((master) => master.cluster === cluster)) {
      for (const topic of (await session.adminCalls.topicConfigs(address)).keys()) {
        if (/^%(RETRY|DLQ)%/.test(topic)) continue;
        const groups = groupsOf.get(topic) ?? new Set();
        groupsOf.set(topic, groups);
        for (const group of await session.inspectionCalls.groupsOfTopic(address, topic)) groups.add(group);
      }
    }
    for (const [topic, groups] of [...groupsOf].sort(([left], [right]) => (left < right ? -1 : 1))) {
      for (const group of groups.size > 0 ? groups : ['']) terminal.out(columns(WIDTHS, [cluster, topic, group]));
    }
  }
}
