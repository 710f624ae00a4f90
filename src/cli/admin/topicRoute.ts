/** `mqadmin topicRoute`: the route as JSON (broker ids unquoted, as RocketMQ prints them) or as a table. */
import type { Admin } from '../../client/admin.js';
import type { CommandCall } from '../command.js';
import { columns, requiredText, routeOrRefuse, withAdmin } from './adminCall.js';

type TopicRouteData = NonNullable<Awaited<ReturnType<Admin['topicRoute']>>>;

const WIDTHS = [45, 32, 50, 10, 11, 5];

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  return withAdmin(call, async (admin) => {
    const route = await routeOrRefuse(admin, topic);
    if (call.options['list'] === true) for (const line of tableOf(route)) call.terminal.out(line);
    else call.terminal.out(jsonOf(route));
  });
}

function jsonOf(route: TopicRouteData): string {
  const plain = (_name: string, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value);
  return JSON.stringify(route, plain, '\t').replaceAll(/^(\t*)"(\d+)":/gm, '$1$2:');
}

function tableOf({ brokerDatas, queueDatas }: TopicRouteData): string[] {
  const lines = [
    columns(WIDTHS, ['#ClusterName', '#BrokerName', '#BrokerAddrs', '#ReadQueue', '#WriteQueue', '#Perm']),
  ];
  for (const { cluster, brokerName, brokerAddrs } of brokerDatas) {
    const queue = queueDatas.find((one) => one.brokerName === brokerName);
    const addresses = [...brokerAddrs.values()].join(';');
    const cells = [queue?.readQueueNums ?? 0, queue?.writeQueueNums ?? 0, queue?.perm ?? 0];
    lines.push(columns(WIDTHS, [cluster, brokerName, addresses, ...cells]));
  }
  return lines;
}
