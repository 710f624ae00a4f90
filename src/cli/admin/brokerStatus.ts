/** `mqadmin brokerStatus`: all figures of brokers by name. Upstream: `BrokerStatusSubCommand`. */
import type { CommandCall } from '../command.js';
import { masterAddresses, textOption, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  return withAdmin(call, async (admin) => {
    for (const address of await masterAddresses(admin, call)) {
      const prefix = textOption(call, 'brokerAddr') === undefined ? `${address.padEnd(24)} ` : '';
      const figures = [...(await admin.runtimeInfo(address))].sort(([left], [right]) => (left < right ? -1 : 1));
      for (const [name, value] of figures) call.terminal.out(`${prefix}${name.padEnd(32)}: ${value}`);
    }
  });
}
