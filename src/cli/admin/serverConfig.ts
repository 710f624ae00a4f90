/**
 * `mqadmin getBrokerConfig`, `updateBrokerConfig`, `getNamesrvConfig` and `updateNamesrvConfig`. Upstream:
 * `GetBrokerConfigCommand`, `UpdateBrokerConfigSubCommand`, `GetNamesrvConfigCommand`, `UpdateNamesrvConfigCommand`.
 */
import { parseProperties, writeProperties } from '../../config/properties.js';
import type { CommandCall } from '../command.js';
import { masterAddresses, requiredText, withAdmin } from './adminCall.js';

export function ofBrokers(call: CommandCall): Promise<number> {
  return withAdmin(call, async (admin, session) => {
    for (const address of await masterAddresses(admin, call)) {
      print(address, await session.inspectionCalls.config(address), call);
    }
  });
}

export function updateBrokers(call: CommandCall): Promise<number> {
  const properties = writeProperties([[requiredText(call, 'key'), requiredText(call, 'value')]]);
  return withAdmin(call, async (admin, session) => {
    for (const address of await masterAddresses(admin, call)) {
      await session.inspectionCalls.updateConfig(address, properties);
      call.terminal.out(`update broker config success, ${address}`);
    }
  });
}

export function ofNameServers(call: CommandCall): Promise<number> {
  return withAdmin(call, async (_admin, session) => {
    for (const address of session.nameServers.addresses) {
      print(address, await session.namesrvCalls.config(address), call);
    }
  });
}

export function updateNameServers(call: CommandCall): Promise<number> {
  const key = requiredText(call, 'key');
  const value = requiredText(call, 'value');
  return withAdmin(call, async (_admin, session) => {
    const { addresses } = session.nameServers;
    for (const address of addresses) await session.namesrvCalls.updateConfig(address, writeProperties([[key, value]]));
    call.terminal.out(`update name server config success! ${addresses.join(';')}`);
    call.terminal.out(`${key} : ${value}`);
  });
}

function print(address: string, properties: string, { terminal }: CommandCall): void {
  terminal.out(`============${address}============`);
  for (const { key, value } of parseProperties(properties)) terminal.out(`${key.padEnd(50)}=  ${value}`);
}
