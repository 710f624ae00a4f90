/** `mqadmin deleteTopic`. Upstream: `DeleteTopicSubCommand`. */
import type { CommandCall } from '../command.js';
import { masterAddresses, ORDER_TOPIC_NAMESPACE, requiredText, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const clusterName = requiredText(call, 'clusterName');
  return withAdmin(call, async (admin) => {
    await masterAddresses(admin, call);
    await admin.deleteTopic(topic, { clusterName });
    call.terminal.out(`delete topic [${topic}] from cluster [${clusterName}] success.`);
    await admin.deleteKvConfig(ORDER_TOPIC_NAMESPACE, topic);
    call.terminal.out(`delete topic [${topic}] from NameServer success.`);
  });
}
