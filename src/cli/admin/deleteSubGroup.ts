/**
 * `mqadmin deleteSubGroup`: a group, and of a whole cluster its retry and dead-letter topics. Upstream:
 * `DeleteSubscriptionGroupCommand`.
 */
import type { CommandCall } from '../command.js';
import { flagOption, masterAddresses, requiredText, textOption, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const groupName = requiredText(call, 'groupName');
  const cleanOffset = flagOption(call, 'removeOffset', false);
  const clusterName = textOption(call, 'brokerAddr') === undefined ? textOption(call, 'clusterName') : undefined;
  return withAdmin(call, async (admin) => {
    for (const brokerAddr of await masterAddresses(admin, call)) {
      await admin.deleteSubscriptionGroup(groupName, { brokerAddr, cleanOffset });
      const from = clusterName === undefined ? '' : ` in cluster [${clusterName}]`;
      call.terminal.out(`delete subscription group [${groupName}] from broker [${brokerAddr}]${from} success.`);
    }
    if (clusterName === undefined) return;
    for (const topic of [`%RETRY%${groupName}`, `%DLQ%${groupName}`]) {
      await admin.deleteTopic(topic, { clusterName });
      call.terminal.out(`delete topic [${topic}] from cluster [${clusterName}] success.`);
    }
  });
}
