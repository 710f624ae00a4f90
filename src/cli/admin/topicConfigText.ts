/** A topic's configuration as RocketMQ's tools print it. Upstream: `TopicConfig.toString`, `PermName.perm2String`. */
export interface PrintedTopic {
  readQueueNums: number;
  writeQueueNums: number;
  perm: number;
  order: boolean;
  attributes: Record<string, string>;
  topicFilterType?: string;
  topicSysFlag?: number;
}

export function topicConfigText(topic: string, config: PrintedTopic): string {
  const { readQueueNums, writeQueueNums, perm, order, attributes } = config;
  const { topicFilterType = 'SINGLE_TAG', topicSysFlag = 0 } = config;
  return (
    `TopicConfig [topicName=${topic}, readQueueNums=${readQueueNums}, writeQueueNums=${writeQueueNums}, ` +
    `perm=${permText(perm)}, topicFilterType=${topicFilterType}, topicSysFlag=${topicSysFlag}, order=${order}, ` +
    `attributes=${JSON.stringify(attributes)}]`
  );
}

/** `RW-` for 6, as RocketMQ prints it. */
function permText(perm: number): string {
  return `${perm & 4 ? 'R' : '-'}${perm & 2 ? 'W' : '-'}${perm & 1 ? 'X' : '-'}`;
}
