/** `mqadmin updateSubGroup`: creates a consumer group or changes it. Upstream: `UpdateSubGroupSubCommand`. */
import type { CommandCall } from '../command.js';
import { flagOption, masterAddresses, requiredText, textOption, wholeOption, withAdmin } from './adminCall.js';
import { attributesOf } from './attributes.js';
import { groupConfigText } from './groupConfigText.js';

export function run(call: CommandCall): Promise<number> {
  const groupName = requiredText(call, 'groupName');
  const config = {
    consumeEnable: flagOption(call, 'consumeEnable', true),
    // Like RocketMQ's tool: what is not said of these two is sent as false.
    consumeFromMinEnable: flagOption(call, 'consumeFromMinEnable', false),
    consumeBroadcastEnable: flagOption(call, 'consumeBroadcastEnable', false),
    consumeMessageOrderly: flagOption(call, 'consumeMessageOrderly', false),
    retryQueueNums: wholeOption(call, 'retryQueueNums', 1),
    retryMaxTimes: wholeOption(call, 'retryMaxTimes', 16),
    brokerId: wholeOption(call, 'brokerId', 0),
    whichBrokerWhenConsumeSlowly: wholeOption(call, 'whichBrokerWhenConsumeSlowly', 1),
    notifyConsumerIdsChangedEnable: flagOption(call, 'notifyConsumerIdsChanged', true),
    attributes: attributesOf(textOption(call, 'attributes') ?? ''),
  };
  return withAdmin(call, async (admin) => {
    for (const brokerAddr of await masterAddresses(admin, call)) {
      await admin.createSubscriptionGroup(groupName, config, { brokerAddr });
      call.terminal.out(`create subscription group to ${brokerAddr} success.`);
    }
    call.terminal.out(groupConfigText({ groupName, ...config }));
  });
}
