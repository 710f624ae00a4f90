/**
 * `mqadmin brokerConsumeStats`: how far every group of a broker is behind, queue by queue. Upstream:
 * `BrokerConsumeStatsSubCommad`.
 */
import type { CommandCall } from '../command.js';
import { columns, flagOption, localTime, requiredText, wholeOption, withAdmin } from './adminCall.js';

const WIDTHS = [64, 64, 32, 4, 20, 20, 20, 24];
const TITLES = ['#Topic', '#Group', '#Broker Name', '#QID', '#Broker Offset', '#Consumer Offset', '#Diff', '#LastTime'];

export function run(call: CommandCall): Promise<number> {
  const address = requiredText(call, 'brokerAddr');
  const level = wholeOption(call, 'level', 0);
  const isOrder = flagOption(call, 'order', false);
  return withAdmin(call, async (_admin, session) => {
    const { statsOfGroups } = await session.statisticsCalls.consumeStats(address, isOrder);
    call.terminal.out(columns(WIDTHS, TITLES));
    let diffTotal = 0;
    for (const [group, stats] of statsOfGroups) {
      for (const [queue, { brokerOffset, consumerOffset, lastTimestamp }] of stats.flatMap(
        (each) => each.offsetTable,
      )) {
        const diff = brokerOffset - consumerOffset;
        diffTotal += diff;
        if (diff < level) continue;
        const lastTime = lastTimestamp > 0 ? localTime(lastTimestamp) : '-';
        const cells = [
          queue.topic,
          group,
          queue.brokerName,
          queue.queueId,
          brokerOffset,
          consumerOffset,
          diff,
          lastTime,
        ];
        call.terminal.out(columns(WIDTHS, cells));
      }
    }
    call.terminal.out('');
    call.terminal.out(`Diff Total: ${diffTotal}`);
  });
}
