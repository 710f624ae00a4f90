/** `mqadmin topicClusterList`: the clusters that hold a topic, one a line. Upstream: `TopicClusterSubCommand`. */
import type { CommandCall } from '../command.js';
import { requiredText, routeOrRefuse, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  return withAdmin(call, async (admin) => {
    const { brokerDatas } = await routeOrRefuse(admin, topic);
    for (const cluster of new Set(brokerDatas.map((broker) => broker.cluster))) call.terminal.out(cluster);
  });
}
