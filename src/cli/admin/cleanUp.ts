/**
 * `mqadmin cleanExpiredCQ`, `cleanUnusedTopic` and `deleteExpiredCommitLog`: on one broker, on those of a cluster, or
 * on all. Upstream: `CleanExpiredCQSubCommand`, `CleanUnusedTopicCommand`, `DeleteExpiredCommitLogSubCommand`.
 */
import type { InspectionCalls } from '../../client/inspectionCalls.js';
import type { CommandCall } from '../command.js';
import { allMasters, textOption, withAdmin } from './adminCall.js';

export const consumeQueues = (call: CommandCall) =>
  onBrokers(call, (calls, address) => calls.cleanExpiredConsumeQueues(address));
export const unusedTopics = (call: CommandCall) =>
  onBrokers(call, (calls, address) => calls.cleanUnusedTopics(address));
export const commitLog = (call: CommandCall) =>
  onBrokers(call, (calls, address) => calls.deleteExpiredCommitLog(address));

function onBrokers(call: CommandCall, clean: (calls: InspectionCalls, address: string) => Promise<void>) {
  const brokerAddr = textOption(call, 'brokerAddr');
  return withAdmin(call, async (admin, session) => {
    const masters = brokerAddr === undefined ? await allMasters(admin, textOption(call, 'cluster')) : [];
    const addresses = brokerAddr === undefined ? masters.map(({ address }) => address) : [brokerAddr];
    for (const address of addresses) await clean(session.inspectionCalls, address);
    call.terminal.out(addresses.length > 0 ? 'success' : 'no broker is registered');
  });
}
