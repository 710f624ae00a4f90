/** `mqadmin queryCq`: entries of a consume queue. Upstream: `QueryConsumeQueueCommand`. */
import type { CommandCall } from '../command.js';
import { allMasters, requiredText, textOption, wholeOption, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const queueId = wholeOption(call, 'queue', 0);
  const index = wholeOption(call, 'index', 0);
  const count = wholeOption(call, 'count', 10, 1);
  const consumerGroup = textOption(call, 'consumer');
  const broker = textOption(call, 'broker');
  return withAdmin(call, async (admin, session) => {
    const addresses = broker === undefined ? (await allMasters(admin)).map(({ address }) => address) : [broker];
    for (const address of addresses) {
      const header = { topic, queueId, index, count, consumerGroup };
      const { minQueueIndex, maxQueueIndex, entries } = await session.statisticsCalls.queueEntries(address, header);
      call.terminal.out(`Queue data: ${address}, min=${minQueueIndex}, max=${maxQueueIndex}`);
      for (const [at, { physicOffset, physicSize, tagsCode, eval: isTaken }] of entries.entries()) {
        const place = `idx: ${Math.max(index, minQueueIndex) + at}`;
        call.terminal.out(
          `${place} offset: ${physicOffset} size: ${physicSize} tagsCode: ${tagsCode} eval: ${String(isTaken)}`,
        );
      }
    }
  });
}
