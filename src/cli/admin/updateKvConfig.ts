/** `mqadmin updateKvConfig`. Upstream: `UpdateKvConfigCommand`. */
import type { CommandCall } from '../command.js';
import { requiredText, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const namespace = requiredText(call, 'namespace');
  const key = requiredText(call, 'key');
  const value = requiredText(call, 'value');
  return withAdmin(call, async (admin) => {
    await admin.putKvConfig(namespace, key, value);
    call.terminal.out('create or update kv config to namespace success.');
  });
}
