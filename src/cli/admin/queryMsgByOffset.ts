/**
 * `mqadmin queryMsgByOffset`: everything about the message at a place of a queue. Upstream:
 * `QueryMsgByOffsetSubCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import { PullConsumer } from '../../client/pullConsumer.js';
import type { CommandCall } from '../command.js';
import { requiredText, TOOLS_GROUP, wholeOption, withAdmin } from './adminCall.js';
import { printDetails } from './messageDetails.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const queue = { topic, brokerName: requiredText(call, 'brokerName'), queueId: wholeOption(call, 'queueId', 0) };
  const offset = wholeOption(call, 'offset', 0);
  return withAdmin(call, async (_admin, session) => {
    const consumer = new PullConsumer({ session, group: TOOLS_GROUP });
    const { messages } = await consumer.pull(queue, '*', offset, 1);
    const message = messages.find(({ queueOffset }) => queueOffset === offset);
    if (!message) {
      const place = `${topic}/${queue.brokerName}/${queue.queueId}`;
      throw new FoldlogError('TOPIC_NOT_FOUND', `no message lies at offset ${offset} of queue ${place}`, {
        topic,
        offset,
      });
    }
    printDetails(message, call);
  });
}
