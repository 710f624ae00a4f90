/** `mqadmin queryMsgByKey`. Upstream: `QueryMsgByKeySubCommand`. */
import type { CommandCall } from '../command.js';
import { columns, requiredText, wholeOption, withAdmin } from './adminCall.js';

const WIDTHS = [50, 4, 20, 10];

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const key = requiredText(call, 'msgKey');
  const range = {
    beginTimestamp: wholeOption(call, 'beginTimestamp', 0),
    endTimestamp: wholeOption(call, 'endTimestamp', Number.MAX_SAFE_INTEGER),
    maxNum: wholeOption(call, 'maxNum', 64, 1),
  };
  return withAdmin(call, async (admin) => {
    const messages = await admin.queryMessages(topic, key, range);
    call.terminal.out(columns(WIDTHS, ['#Message ID', '#QID', '#Offset', '#IndexKey']));
    for (const { msgId, queueId, queueOffset, keys } of messages) {
      call.terminal.out(columns(WIDTHS, [msgId, queueId, queueOffset, keys.includes(key) ? key : keys.join(' ')]));
    }
  });
}
