/**
 * `mqadmin updateTopicPerm`: changes what may be done with a topic, nothing else. Upstream:
 * `UpdateTopicPermSubCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import type { CommandCall } from '../command.js';
import { masterAddresses, requiredText, wholeOption, withAdmin } from './adminCall.js';
import { topicConfigText } from './topicConfigText.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  requiredText(call, 'perm');
  const perm = wholeOption(call, 'perm', 6);
  return withAdmin(call, async (admin) => {
    let changed = 0;
    for (const brokerAddr of await masterAddresses(admin, call)) {
      const config = await admin.topicConfig(topic, { brokerAddr });
      if (!config) continue;
      const { topicName: _name, ...rest } = config;
      await admin.createTopic(topic, { ...rest, perm }, { brokerAddr });
      call.terminal.out(`update topic perm from ${config.perm} to ${perm} in ${brokerAddr} success.`);
      call.terminal.out(`${topicConfigText(topic, { ...rest, perm })}.`);
      changed += 1;
    }
    if (changed === 0) throw new FoldlogError('TOPIC_NOT_FOUND', `none of these brokers has topic ${topic}`, { topic });
  });
}
