/**
 * `mqadmin wipeWritePerm` and `addWritePerm`: whether producers are sent to a broker, in all name servers, until it
 * registers a change. Upstream: `WipeWritePermSubCommand`, `AddWritePermSubCommand`.
 */
import type { NamesrvCalls } from '../../client/namesrvCalls.js';
import type { CommandCall } from '../command.js';
import { requiredText, withAdmin } from './adminCall.js';

export const wipe = (call: CommandCall) =>
  onNameServers(call, 'wipe', (calls, address, broker) => calls.wipeWritePermission(address, broker));
export const add = (call: CommandCall) =>
  onNameServers(call, 'add', (calls, address, broker) => calls.addWritePermission(address, broker));

function onNameServers(
  call: CommandCall,
  verb: string,
  change: (calls: NamesrvCalls, address: string, brokerName: string) => Promise<number>,
): Promise<number> {
  const brokerName = requiredText(call, 'brokerName');
  return withAdmin(call, async (_admin, session) => {
    for (const address of session.nameServers.addresses) {
      const count = await change(session.namesrvCalls, address, brokerName);
      call.terminal.out(`${verb} write perm of broker[${brokerName}] in name server[${address}] OK, ${count}`);
    }
  });
}
