/**
 * `mqadmin updateTopicList` and `updateSubGroupList`: creates or changes all topics, or groups, of a JSON file: a list
 * of configurations, each with its name. Upstream: `UpdateTopicListSubCommand`, `UpdateSubGroupListSubCommand`.
 */
import { FoldlogError, messageOf } from '../../base/errors.js';
import type { CommandCall } from '../command.js';
import { masterAddresses, requiredText, withAdmin } from './adminCall.js';

export function updateTopics(call: CommandCall): Promise<number> {
  const topics = namedItems(call, 'topicName');
  return withAdmin(call, async (admin) => {
    for (const brokerAddr of await masterAddresses(admin, call)) {
      for (const [topic, config] of topics) await admin.createTopic(topic, config, { brokerAddr });
      call.terminal.out(`submit batch of topic config to ${brokerAddr} success, ${topics.length} topics.`);
    }
  });
}

export function updateGroups(call: CommandCall): Promise<number> {
  const groups = namedItems(call, 'groupName');
  return withAdmin(call, async (admin) => {
    for (const brokerAddr of await masterAddresses(admin, call)) {
      for (const [group, config] of groups) await admin.createSubscriptionGroup(group, config, { brokerAddr });
      call.terminal.out(`submit batch of subscription group config to ${brokerAddr} success, ${groups.length} groups.`);
    }
  });
}

/** The whole file is read and checked before anything is changed. */
function namedItems(call: CommandCall, nameMember: string): [string, Record<string, never>][] {
  const file = requiredText(call, 'filename');
  const wrong = (reason: string) =>
    new FoldlogError('OPTIONS_INVALID', `${file}: ${reason}; it must be a JSON list of objects with ${nameMember}`, {
      file,
    });
  let items: unknown;
  try {
    items = JSON.parse(call.terminal.files.readFile(file).toString());
  } catch (thrown) {
    throw wrong(messageOf(thrown));
  }
  if (!Array.isArray(items)) throw wrong('no list');
  return items.map((item: unknown, index) => {
    if (typeof item !== 'object' || item === null) throw wrong(`item ${index} is no object`);
    const { [nameMember]: name, ...config } = item as Record<string, never>;
    if (typeof name !== 'string' || name === '') throw wrong(`item ${index} has no ${nameMember}`);
    return [name, config];
  });
}
