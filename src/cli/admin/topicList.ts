/** `mqadmin topicList`: one topic a line. Upstream: `TopicListSubCommand`. */
import type { CommandCall } from '../command.js';
import { withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  return withAdmin(call, async (admin) => {
    for (const topic of await admin.topics()) call.terminal.out(topic);
  });
}
