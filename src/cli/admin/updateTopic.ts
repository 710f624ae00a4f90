/** `mqadmin updateTopic`. Upstream: `UpdateTopicSubCommand`. */
import type { CommandCall } from '../command.js';
import {
  masterAddresses,
  ORDER_TOPIC_NAMESPACE,
  requiredText,
  textOption,
  wholeOption,
  withAdmin,
} from './adminCall.js';
import { attributesOf } from './attributes.js';
import { topicConfigText } from './topicConfigText.js';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const config = {
    readQueueNums: wholeOption(call, 'readQueueNums', 8, 1),
    writeQueueNums: wholeOption(call, 'writeQueueNums', 8, 1),
    perm: wholeOption(call, 'perm', 6),
    order: textOption(call, 'order') === 'true',
    attributes: attributesOf(textOption(call, 'attributes') ?? ''),
  };
  return withAdmin(call, async (admin) => {
    const addresses = await masterAddresses(admin, call);
    for (const brokerAddr of addresses) {
      await admin.createTopic(topic, config, { brokerAddr });
      call.terminal.out(`create topic to ${brokerAddr} success.`);
    }
    if (config.order) {
      const { brokerAddrTable } = await admin.clusterInfo();
      const names = [...brokerAddrTable.values()].filter(({ brokerAddrs }) =>
        addresses.includes(brokerAddrs.get(0) ?? ''),
      );
      const value = names.map(({ brokerName }) => `${brokerName}:${config.writeQueueNums}`).join(';');
      await admin.putKvConfig(ORDER_TOPIC_NAMESPACE, topic, value);
      call.terminal.out(`set broker orderConf. isOrder=true, orderConf=[${value}]`);
    }
    call.terminal.out(topicConfigText(topic, config));
  });
}
