/** `mqadmin deleteKvConfig`. Upstream: `DeleteKvConfigCommand`. */
import type { CommandCall } from '../command.js';
import { requiredText, withAdmin } from './adminCall.js';

export function run(call: CommandCall): Promise<number> {
  const namespace = requiredText(call, 'namespace');
  const key = requiredText(call, 'key');
  return withAdmin(call, async (admin) => {
    await admin.deleteKvConfig(namespace, key);
    call.terminal.out('delete kv config from namespace success.');
  });
}
