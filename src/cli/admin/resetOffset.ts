/**
 * `mqadmin resetOffsetByTime` and `skipAccumulatedMessage`. Upstream: `ResetOffsetByTimeCommand`,
 * `SkipAccumulationSubCommand`.
 */
import type { Admin } from '../../client/admin.js';
import type { Session } from '../../client/session.js';
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import { columns, flagOption, requiredText, routeOrRefuse, timeOption, withAdmin } from './adminCall.js';

const WIDTHS = [40, 40, 40];
/** The time that stands for the end of a queue. */
const END = -1;

export function byTime(call: CommandCall): Promise<number> {
  const text = requiredText(call, 'timestamp');
  const timestamp = text === String(END) ? END : timeOption(call, 'timestamp');
  if (timestamp === undefined) throw usageError('--timestamp is missing');
  const reset = resetOf(call, timestamp);
  return withAdmin(call, async (admin, session) => {
    const { group, topic, isForce } = reset;
    call.terminal.out(
      `start reset consumer offset by specified, group[${group}], topic[${topic}], force[${isForce}], ` +
        `timestamp(string)[${text}], timestamp(long)[${timestamp}]`,
    );
    await resetAll(admin, session, call, reset);
  });
}

export function toEnd(call: CommandCall): Promise<number> {
  const reset = resetOf(call, END);
  return withAdmin(call, (admin, session) => resetAll(admin, session, call, reset));
}

function resetOf(call: CommandCall, timestamp: number) {
  const group = requiredText(call, 'group');
  const topic = requiredText(call, 'topic');
  return { group, topic, timestamp, isForce: flagOption(call, 'force', true), queueId: -1, offset: -1 };
}

async function resetAll(admin: Admin, session: Session, call: CommandCall, reset: ReturnType<typeof resetOf>) {
  call.terminal.out(columns(WIDTHS, ['#brokerName', '#queueId', '#offset']));
  for (const { brokerAddrs } of (await routeOrRefuse(admin, reset.topic)).brokerDatas) {
    const address = brokerAddrs.get(0);
    if (address === undefined) continue;
    for (const [{ brokerName, queueId }, offset] of await session.adminCalls.resetOffset(address, reset)) {
      call.terminal.out(columns(WIDTHS, [brokerName, queueId, offset]));
    }
  }
}
