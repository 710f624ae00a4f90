/** `mqadmin allocateMQ`: who would get which queues of a topic. Upstream: `AllocateMQSubCommand`. */
import { allocateAveragely } from '../../client/allocation.js';
import { PullConsumer } from '../../client/pullConsumer.js';
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import { requiredText, TOOLS_GROUP, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const clients = requiredText(call, 'ipList')
    .split(',')
    .map((ip) => ip.trim())
    .filter((ip) => ip !== '');
  if (clients.length === 0) throw usageError('--ipList is empty: give addresses separated by commas');
  return withAdmin(call, async (_admin, session) => {
    const queues = await new PullConsumer({ session, group: TOOLS_GROUP }).fetchQueues(topic);
    const result = Object.fromEntries(clients.map((client) => [client, allocateAveragely(client, queues, clients)]));
    call.terminal.out(JSON.stringify({ result }));
  });
}
