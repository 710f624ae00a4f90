/** Options that many commands of `mqadmin` share, with RocketMQ's flags. */
import type { OptionRow } from '../command.js';

export const namesrv: OptionRow = {
  flags: '-n, --namesrvAddr <addresses>',
  meaning: 'name servers, HOST:PORT separated by ; (default: NAMESRV_ADDR)',
};
export const topic: OptionRow = { flags: '-t, --topic <topic>', meaning: 'topic', required: true };
export const cluster: OptionRow = { flags: '-c, --clusterName <cluster>', meaning: 'all masters of this cluster' };
export const broker: OptionRow = { flags: '-b, --brokerAddr <address>', meaning: 'this broker' };
export const someCluster: OptionRow = {
  flags: '-c, --cluster <cluster>',
  meaning: 'all masters of this cluster (default: all)',
};
export const group: OptionRow = { flags: '-g, --groupName <group>', meaning: 'consumer group' };
export const jsonFile: OptionRow = { flags: '-f, --filename <file>', meaning: 'JSON file', required: true };
export const exportPath: OptionRow = {
  flags: '-f, --filePath <directory>',
  meaning: 'where (default: /tmp/rocketmq/export)',
};
export const times = [
  { flags: '-b, --beginTimestamp <time>', meaning: 'stored at or after: milliseconds or yyyy-MM-dd#HH:mm:ss:SSS' },
  { flags: '-e, --endTimestamp <time>', meaning: 'stored at or before' },
] as const satisfies readonly OptionRow[];
