/** `mqadmin consumerProgress -g`: per queue, how far the group is behind. Upstream: `ConsumerProgressSubCommand`. */
import type { CommandCall } from '../command.js';
import { columns, localTime, requiredText, textOption, withAdmin } from './adminCall.js';

const WIDTHS = [64, 32, 4, 20, 20, 20, 20, 24];
const TITLES = [
  '#Topic',
  '#Broker Name',
  '#QID',
  '#Broker Offset',
  '#Consumer Offset',
  '#Diff',
  '#Inflight',
  '#LastTime',
];

export function run(call: CommandCall): Promise<number> {
  const group = requiredText(call, 'groupName');
  const topic = textOption(call, 'topicName');
  const clusterName = textOption(call, 'clusterName');
  return withAdmin(call, async (admin) => {
    const target = clusterName === undefined ? {} : { clusterName };
    const { offsetTable, consumeTps } = await admin.consumeStats(group, topic, target);
    let diffTotal = 0;
    let inflightTotal = 0;
    call.terminal.out(columns(WIDTHS, TITLES));
    const rows = [...offsetTable].sort(([left], [right]) => compare(left, right));
    for (const [queue, { brokerOffset, consumerOffset, pullOffset, lastTimestamp }] of rows) {
      const diff = brokerOffset - consumerOffset;
      const inflight = Math.max(0, pullOffset - consumerOffset);
      diffTotal += diff;
      inflightTotal += inflight;
      const lastTime = lastTimestamp > 0 ? localTime(lastTimestamp) : 'N/A';
      const numbers = [queue.queueId, brokerOffset, consumerOffset, diff, inflight];
      call.terminal.out(columns(WIDTHS, [queue.topic, queue.brokerName, ...numbers, lastTime]));
    }
    call.terminal.out('');
    call.terminal.out(`Consume TPS: ${consumeTps.toFixed(2)}`);
    call.terminal.out(`Consume Diff Total: ${diffTotal}`);
    call.terminal.out(`Consume Inflight Total: ${inflightTotal}`);
  });
}

type Queue = { topic: string; brokerName: string; queueId: number };

function compare(left: Queue, right: Queue): number {
  const byName = (one: Queue) => `${one.topic}\n${one.brokerName}`;
  if (byName(left) !== byName(right)) return byName(left) < byName(right) ? -1 : 1;
  return left.queueId - right.queueId;
}
