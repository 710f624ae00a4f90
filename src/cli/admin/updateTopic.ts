/** `mqadmin updateTopic`. Upstream: `UpdateTopicSubCommand`. */
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import {
  masterAddresses,
  ORDER_TOPIC_NAMESPACE,
  requiredText,
  textOption,
  wholeOption,
  withAdmin,
} from './adminCall.js';

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
    const { readQueueNums, writeQueueNums, perm, order, attributes } = config;
    call.terminal.out(
      `TopicConfig [topicName=${topic}, readQueueNums=${readQueueNums}, writeQueueNums=${writeQueueNums}, perm=${permText(perm)}, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=${order}, attributes=${JSON.stringify(attributes)}]`,
    );
  });
}

/** `RW-` for 6, as RocketMQ prints it. */
function permText(perm: number): string {
  return `${perm & 4 ? 'R' : '-'}${perm & 2 ? 'W' : '-'}${perm & 1 ? 'X' : '-'}`;
}

/** `+key=value,+key=value` */
function attributesOf(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const part of text.split(',').filter((one) => one.trim() !== '')) {
    const [, key, value] = /^\+([^=\s]+)=(.*)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) {
      throw usageError(`--attributes ${text}: must be +key=value, separated by commas`);
    }
    attributes[key] = value;
  }
  return attributes;
}
