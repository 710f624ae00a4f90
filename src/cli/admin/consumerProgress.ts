/**
 * `mqadmin consumerProgress`: how far a group is behind, per queue, or all groups, a line each. Upstream:
 * `ConsumerProgressSubCommand`.
 */

import { versionName } from '../../client/versionName.js';
import type { CommandCall } from '../command.js';
import { allMasters, columns, localTime, textOption, withAdmin } from './adminCall.js';

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
  const group = textOption(call, 'groupName');
  if (group === undefined) return allGroups(call);
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

const GROUP_WIDTHS = [64, 6, 24, 5, 14, 7, 12];
const GROUP_TITLES = ['#Group', '#Count', '#Version', '#Type', '#Model', '#TPS', '#Diff Total'];
const RETRY_PREFIX = '%RETRY%';

/** A group is what has a retry topic. */
function allGroups(call: CommandCall): Promise<number> {
  const clusterName = textOption(call, 'clusterName');
  const target = clusterName === undefined ? {} : { clusterName };
  return withAdmin(call, async (admin, session) => {
    call.terminal.out(columns(GROUP_WIDTHS, GROUP_TITLES));
    const masters = await allMasters(admin, clusterName);
    for (const topic of await admin.topics(target)) {
      if (!topic.startsWith(RETRY_PREFIX)) continue;
      const group = topic.slice(RETRY_PREFIX.length);
      const { offsetTable, consumeTps } = await admin.consumeStats(group, undefined, target);
      const diffTotal = offsetTable.reduce((sum, [, each]) => sum + each.brokerOffset - each.consumerOffset, 0);
      const online = (
        await Promise.all(masters.map(({ address }) => session.inspectionCalls.consumerConnections(address, group)))
      ).find((each) => each !== undefined);
      const count = online?.connections.length ?? 0;
      // The lowest version tells what the whole group can do.
      const version = online ? versionName(Math.min(...online.connections.map((each) => each.version))) : 'OFFLINE';
      const type = online ? (online.consumeType === 'CONSUME_PASSIVELY' ? 'PUSH' : 'PULL') : '';
      const cells = [group, count, version, type, online?.messageModel ?? '', consumeTps.toFixed(2), diffTotal];
      call.terminal.out(columns(GROUP_WIDTHS, cells));
    }
  });
}

type Queue = { topic: string; brokerName: string; queueId: number };

function compare(left: Queue, right: Queue): number {
  const byName = (one: Queue) => `${one.topic}\n${one.brokerName}`;
  if (byName(left) !== byName(right)) return byName(left) < byName(right) ? -1 : 1;
  return left.queueId - right.queueId;
}
