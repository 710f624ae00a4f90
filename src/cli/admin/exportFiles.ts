/**
 * `mqadmin exportMetadata` and `exportConfigs`: topics and groups, or the servers' configuration, as a JSON file.
 * Upstream: `ExportMetadataCommand`, `ExportConfigsCommand`.
 */
import { joinPath } from '../../base/files.js';
import { parseProperties } from '../../config/properties.js';
import type { CommandCall } from '../command.js';
import { usageError } from '../errorLine.js';
import { allMasters, textOption, withAdmin } from './adminCall.js';

const DIRECTORY = '/tmp/rocketmq/export';

/** With -t topics only, with -g groups only; those of the system too. */
export function metadata(call: CommandCall): Promise<number> {
  const isTopicsOnly = call.options['topic'] === true;
  const isGroupsOnly = call.options['subscriptionGroup'] === true;
  const brokerAddr = textOption(call, 'brokerAddr');
  const clusterName = textOption(call, 'clusterName');
  if (brokerAddr === undefined && clusterName === undefined) throw usageError('of which brokers? give -b or -c');
  return withAdmin(call, async (admin, session) => {
    const masters = brokerAddr === undefined ? await allMasters(admin, clusterName) : [{ address: brokerAddr }];
    const topicConfigTable: Record<string, object> = {};
    const subscriptionGroupTable: Record<string, object> = {};
    for (const { address } of masters) {
      if (!isGroupsOnly)
        Object.assign(topicConfigTable, Object.fromEntries(await session.adminCalls.topicConfigs(address)));
      if (!isTopicsOnly)
        Object.assign(subscriptionGroupTable, Object.fromEntries(await session.inspectionCalls.groups(address)));
    }
    write(call, isTopicsOnly ? 'topic' : isGroupsOnly ? 'subscriptionGroup' : 'metadata', {
      ...(!isGroupsOnly && { topicConfigTable }),
      ...(!isTopicsOnly && { subscriptionGroupTable }),
      exportTime: call.terminal.clock.now(),
    });
  });
}

export function configs(call: CommandCall): Promise<number> {
  const clusterName = textOption(call, 'clusterName');
  return withAdmin(call, async (admin, session) => {
    const brokerConfigs: Record<string, object> = {};
    for (const { brokerName, address } of await allMasters(admin, clusterName)) {
      const properties = parseProperties(await session.inspectionCalls.config(address));
      brokerConfigs[brokerName] = Object.fromEntries(properties.map(({ key, value }) => [key, value]));
    }
    const clusterScale = {
      namesrvSize: session.nameServers.addresses.length,
      masterBrokerSize: Object.keys(brokerConfigs).length,
    };
    write(call, 'configs', { brokerConfigs, clusterScale });
  });
}

function write(call: CommandCall, name: string, value: object): void {
  const { files } = call.terminal;
  const directory = textOption(call, 'filePath') ?? DIRECTORY;
  const file = joinPath(directory, `${name}.json`);
  files.makeDirectory(directory);
  files.writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
  call.terminal.out(`export ${file} success`);
}
