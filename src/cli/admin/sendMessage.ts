/** `mqadmin sendMessage`. Upstream: `SendMessageCommand`. */
import { Producer } from '../../client/producer.js';
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import { columns, requiredText, textOption, wholeOption, withAdmin } from './adminCall.js';

const WIDTHS = [32, 4, 20, 40];

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const body = requiredText(call, 'body');
  const brokerName = textOption(call, 'broker');
  const queueId = textOption(call, 'qid') === undefined ? undefined : wholeOption(call, 'qid', 0);
  if ((brokerName === undefined) !== (queueId === undefined))
    throw usageError('a queue needs both -b BROKER and -i QUEUE');
  const keys = textOption(call, 'key')
    ?.split(' ')
    .filter((key) => key !== '');
  const tags = textOption(call, 'tags');
  return withAdmin(call, async (_admin, session) => {
    const producer = new Producer({ session });
    const queue = brokerName === undefined || queueId === undefined ? undefined : { topic, brokerName, queueId };
    const result = await producer.send(
      { topic, body, ...(keys !== undefined && { keys }), ...(tags !== undefined && { tags }) },
      queue ? { queue } : {},
    );
    call.terminal.out(columns(WIDTHS, ['#Broker Name', '#QID', '#Send Result', '#MsgId']));
    call.terminal.out(columns(WIDTHS, [result.queue.brokerName, result.queue.queueId, result.status, result.msgId]));
  });
}
