/**
 * `mqadmin updateOrderConf`: the order configuration of a topic in all name servers. Upstream:
 * `UpdateOrderConfCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import { ORDER_TOPIC_NAMESPACE, requiredText, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const method = requiredText(call, 'method');
  const out = (line: string) => call.terminal.out(line);
  return withAdmin(call, async (admin) => {
    if (method === 'get') {
      const conf = await admin.getKvConfig(ORDER_TOPIC_NAMESPACE, topic);
      if (conf === undefined) {
        throw new FoldlogError('TOPIC_NOT_FOUND', `topic ${topic} has no order configuration`, { topic });
      }
      out(`get orderConf success. topic=[${topic}], orderConf=[${conf}]`);
    } else if (method === 'put') {
      const conf = requiredText(call, 'orderConf');
      await admin.putKvConfig(ORDER_TOPIC_NAMESPACE, topic, conf);
      out(`update orderConf success. topic=[${topic}], orderConf=[${conf}]`);
    } else if (method === 'delete') {
      await admin.deleteKvConfig(ORDER_TOPIC_NAMESPACE, topic);
      out(`delete orderConf success. topic=[${topic}]`);
    } else throw usageError(`--method ${method}: must be get, put or delete`);
  });
}
