/**
 * `mqadmin queryMsgByUniqueKey`: everything about a message, by the key that its producer made. Upstream:
 * `QueryMsgByUniqueKeySubCommand`.
 */
import type { CommandCall } from '../command.js';
import { requiredText, withAdmin } from './adminCall.js';
import { messageNotFound, printDetails } from './messageDetails.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const msgId = requiredText(call, 'msgId');
  return withAdmin(call, async (admin) => {
    const found = (await admin.queryMessages(topic, msgId)).find((message) => message.msgId === msgId);
    if (!found) throw messageNotFound(topic, msgId);
    printDetails(found, call);
  });
}
