/** `mqadmin topicStatus`: lowest and highest offset of each queue. Upstream: `TopicStatusSubCommand`. */
import type { CommandCall } from '../command.js';
import { columns, localTime, requiredText, withAdmin } from './adminCall.js';

const WIDTHS = [32, 4, 20, 20, 24];

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  return withAdmin(call, async (admin) => {
    const { offsetTable, topicPutTps } = await admin.topicStats(topic);
    call.terminal.out(columns(WIDTHS, ['#Broker Name', '#QID', '#Min Offset', '#Max Offset', '#Last Updated']));
    const rows = [...offsetTable];
    rows.sort(([left], [right]) =>
      left.brokerName === right.brokerName ? left.queueId - right.queueId : left.brokerName < right.brokerName ? -1 : 1,
    );
    for (const [{ brokerName, queueId }, { minOffset, maxOffset, lastUpdateTimestamp }] of rows) {
      const lastUpdate = lastUpdateTimestamp > 0 ? localTime(lastUpdateTimestamp) : '';
      call.terminal.out(columns(WIDTHS, [brokerName, queueId, minOffset, maxOffset, lastUpdate]));
    }
    call.terminal.out('');
    call.terminal.out(`Topic Put TPS: ${topicPutTps}`);
  });
}
