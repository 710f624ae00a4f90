/**
 * `mqadmin consumerConnection` and `producerConnection`: who is connected. Upstream: `ConsumerConnectionSubCommand`,
 * `ProducerConnectionSubCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import type { ClientConnection } from '../../client/inspectionCalls.js';
import { versionName } from '../../client/versionName.js';
import type { CommandCall } from '../command.js';
import { allMasters, columns, requiredText, routeOrRefuse, textOption, withAdmin } from './adminCall.js';

const WIDTHS = [36, 22, 10, 16];
const SUBSCRIPTION_WIDTHS = [40, 20];

/** All members of a group connect to each broker of their topics: the first broker that has some tells of all. */
export function ofConsumers(call: CommandCall): Promise<number> {
  const group = requiredText(call, 'consumerGroup');
  const brokerAddr = textOption(call, 'brokerAddr');
  return withAdmin(call, async (admin, session) => {
    const addresses = brokerAddr === undefined ? (await allMasters(admin)).map(({ address }) => address) : [brokerAddr];
    for (const address of addresses) {
      const found = await session.inspectionCalls.consumerConnections(address, group);
      if (!found) continue;
      const out = (line: string) => call.terminal.out(line);
      printConnections(found.connections, out);
      out('');
      out('Below is subscription:');
      out(columns(SUBSCRIPTION_WIDTHS, ['#Topic', '#SubExpression']));
      for (const [topic, { subString }] of found.subscriptions) out(columns(SUBSCRIPTION_WIDTHS, [topic, subString]));
      out('');
      out(`ConsumeType: ${found.consumeType}`);
      out(`MessageModel: ${found.messageModel}`);
      out(`ConsumeFromWhere: ${found.consumeFromWhere}`);
      return;
    }
    throw new FoldlogError('CONNECT_FAILED', `no member of consumer group ${group} is connected`, { group });
  });
}

/** Producers connect to the brokers that they send to: all brokers of the topic are asked. */
export function ofProducers(call: CommandCall): Promise<number> {
  const group = requiredText(call, 'producerGroup');
  const topic = requiredText(call, 'topic');
  return withAdmin(call, async (admin, session) => {
    const found = new Map<string, ClientConnection>();
    for (const { brokerAddrs } of (await routeOrRefuse(admin, topic)).brokerDatas) {
      const address = brokerAddrs.get(0);
      if (address === undefined) continue;
      for (const each of await session.inspectionCalls.producerConnections(address, group))
        found.set(each.clientId, each);
    }
    if (found.size === 0) {
      throw new FoldlogError('CONNECT_FAILED', `no producer of group ${group} is connected`, { group });
    }
    printConnections([...found.values()], (line) => call.terminal.out(line));
  });
}

function printConnections(connections: readonly ClientConnection[], out: (line: string) => void): void {
  out(columns(WIDTHS, ['#ClientId', '#ClientAddr', '#Language', '#Version']));
  for (const { clientId, clientAddr, language, version } of connections) {
    out(columns(WIDTHS, [clientId, clientAddr, language ?? 'null', versionName(version)]));
  }
}
