/**
 * `mqadmin printMsg`, `printMsgByQueue` and `consumeMessage`: the messages of a topic, of one queue, or from a place
 * on. Nothing is recorded as consumed. Upstream: `PrintMessageSubCommand`, `PrintMessageByQueueCommand`,
 * `ConsumeMessageCommand`.
 */
import type { ReceivedMessage } from '../../client/clientTypes.js';
import { PullConsumer } from '../../client/pullConsumer.js';
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import { flagOption, requiredText, TOOLS_GROUP, textOption, timeOption, wholeOption, withAdmin } from './adminCall.js';
import { messageLine } from './messageDetails.js';

const PULL_COUNT = 32;

type Queue = Awaited<ReturnType<PullConsumer['fetchQueues']>>[number];

interface Range {
  queue: Queue;
  minOffset: number;
  /** Exclusive. */
  maxOffset: number;
}

/** Every message of the topic. */
export function printTopic(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const withBody = flagOption(call, 'printBody', true);
  const filter = textOption(call, 'subExpression') ?? '*';
  return withConsumer(call, TOOLS_GROUP, async (consumer) => {
    for (const queue of await consumer.fetchQueues(topic)) {
      const range = await rangeOf(consumer, queue, call);
      const { brokerName, queueId } = queue;
      const place = `MessageQueue [topic=${topic}, brokerName=${brokerName}, queueId=${queueId}]`;
      call.terminal.out(`minOffset=${range.minOffset}, maxOffset=${range.maxOffset}, ${place}`);
      for await (const message of messagesOf(consumer, range, filter)) {
        if (call.terminal.isOutClosed) return;
        call.terminal.out(messageLine(message, withBody));
      }
    }
  });
}

/** The messages of one queue, one by one or counted by tag. */
export function printQueue(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const queue = { topic, brokerName: requiredText(call, 'brokerName'), queueId: wholeOption(call, 'queueId', 0) };
  const printsEach = flagOption(call, 'print', false);
  const withBody = flagOption(call, 'printBody', false);
  const countsTags = flagOption(call, 'calculateByTag', false);
  const filter = textOption(call, 'subExpression') ?? '*';
  return withConsumer(call, TOOLS_GROUP, async (consumer) => {
    const counts = new Map<string, number>();
    for await (const message of messagesOf(consumer, await rangeOf(consumer, queue, call), filter)) {
      if (call.terminal.isOutClosed) return;
      const tag = message.tags ?? '';
      counts.set(tag, (counts.get(tag) ?? 0) + 1);
      if (printsEach) call.terminal.out(messageLine(message, withBody));
    }
    if (!countsTags) return;
    const byCount = [...counts].sort(([, left], [, right]) => right - left);
    for (const [tag, count] of byCount) call.terminal.out(`Tag: ${tag.padEnd(30)} Count: ${count}`);
  });
}

/** Up to so many messages: of a topic, of a queue, from an offset or a time on. */
export function consume(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const brokerName = textOption(call, 'brokerName');
  const isQueueGiven = textOption(call, 'queueId') !== undefined;
  if (isQueueGiven && brokerName === undefined) throw usageError('a queue needs both -b BROKER and -i QUEUE');
  const isOffsetGiven = textOption(call, 'offset') !== undefined;
  if (isOffsetGiven && !isQueueGiven) throw usageError('an offset is one of a queue: give -b BROKER and -i QUEUE too');
  const queueId = wholeOption(call, 'queueId', 0);
  let left = wholeOption(call, 'messageNumber', 128, 1);
  return withConsumer(call, textOption(call, 'consumerGroup') ?? TOOLS_GROUP, async (consumer) => {
    const isMeant = (queue: Queue) =>
      (brokerName === undefined || queue.brokerName === brokerName) && (!isQueueGiven || queue.queueId === queueId);
    for (const queue of (await consumer.fetchQueues(topic)).filter(isMeant)) {
      const range = await rangeOf(consumer, queue, call);
      if (isOffsetGiven) range.minOffset = Math.max(range.minOffset, wholeOption(call, 'offset', 0));
      let isFirst = true;
      for await (const message of messagesOf(consumer, range, '*')) {
        if (left === 0 || call.terminal.isOutClosed) return;
        if (isFirst) call.terminal.out('Consume ok');
        isFirst = false;
        left -= 1;
        call.terminal.out(messageLine(message, true));
      }
    }
  });
}

function withConsumer(call: CommandCall, group: string, body: (consumer: PullConsumer) => Promise<void>) {
  return withAdmin(call, (_admin, session) => body(new PullConsumer({ session, group })));
}

/** What lies in the queue now, within the times of the command line. */
async function rangeOf(consumer: PullConsumer, queue: Queue, call: CommandCall): Promise<Range> {
  const begin = timeOption(call, 'beginTimestamp');
  const end = timeOption(call, 'endTimestamp');
  const minOffset =
    begin === undefined ? await consumer.minOffset(queue) : await consumer.offsetByTimestamp(queue, begin);
  // The first that is stored after the end is the first that is not meant.
  const maxOffset =
    end === undefined ? await consumer.maxOffset(queue) : await consumer.offsetByTimestamp(queue, end + 1);
  return { queue, minOffset, maxOffset };
}

async function* messagesOf(
  consumer: PullConsumer,
  { queue, minOffset, maxOffset }: Range,
  filter: string,
): AsyncGenerator<ReceivedMessage> {
  for (let offset = minOffset; offset < maxOffset; ) {
    const { status, messages, nextBeginOffset } = await consumer.pull(queue, filter, offset, PULL_COUNT);
    for (const message of messages) if (message.queueOffset < maxOffset) yield message;
    if (status === 'NO_NEW_MSG' || nextBeginOffset <= offset) return;
    offset = nextBeginOffset;
  }
}
