/**
 * `mqadmin queryMsgById`: everything about one message, by its offset id or unique key. Upstream:
 * `QueryMsgByIdSubCommand`.
 */
import type { CommandCall } from '../command.js';
import { requiredText, withAdmin } from './adminCall.js';
import { messageNotFound, printDetails } from './messageDetails.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const msgId = requiredText(call, 'msgId');
  return withAdmin(call, async (admin) => {
    const message = await admin.viewMessage(topic, msgId);
    if (!message) throw messageNotFound(topic, msgId);
    printDetails(message, call);
  });
}
