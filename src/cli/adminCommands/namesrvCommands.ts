/** Commands of `mqadmin` for name servers. Upstream: `MQAdminStartup`. */
import type { CommandRow } from '../command.js';
import { namesrv } from './options.js';

export const NAMESRV_COMMANDS: readonly CommandRow[] = [
  {
    name: 'getNamesrvConfig',
    summary: 'show the configuration of the name servers',
    options: [namesrv],
    load: async () => ({ run: (await import('../admin/serverConfig.js')).ofNameServers }),
  },
  {
    name: 'updateNamesrvConfig',
    summary: 'change the configuration of the name servers',
    options: [
      namesrv,
      { flags: '-k, --key <key>', meaning: 'key', required: true },
      { flags: '-v, --value <value>', meaning: 'value', required: true },
    ],
    load: async () => ({ run: (await import('../admin/serverConfig.js')).updateNameServers }),
  },
  {
    name: 'updateKvConfig',
    summary: 'set a value in the configuration of the name servers',
    options: [
      namesrv,
      { flags: '-s, --namespace <namespace>', meaning: 'namespace', required: true },
      { flags: '-k, --key <key>', meaning: 'key', required: true },
      { flags: '-v, --value <value>', meaning: 'value', required: true },
    ],
    load: () => import('../admin/updateKvConfig.js'),
  },
  {
    name: 'deleteKvConfig',
    summary: 'remove a value from the configuration of the name servers',
    options: [
      namesrv,
      { flags: '-s, --namespace <namespace>', meaning: 'namespace', required: true },
      { flags: '-k, --key <key>', meaning: 'key', required: true },
    ],
    load: () => import('../admin/deleteKvConfig.js'),
  },
  {
    name: 'wipeWritePerm',
    summary: 'send no producers to a broker any more',
    options: [namesrv, { flags: '-b, --brokerName <name>', meaning: 'broker', required: true }],
    load: async () => ({ run: (await import('../admin/writePermission.js')).wipe }),
  },
  {
    name: 'addWritePerm',
    summary: 'send producers to a broker again',
    options: [namesrv, { flags: '-b, --brokerName <name>', meaning: 'broker', required: true }],
    load: async () => ({ run: (await import('../admin/writePermission.js')).add }),
  },
];
