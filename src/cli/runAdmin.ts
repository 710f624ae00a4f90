/** Runs a command of `mqadmin`; one that RocketMQ has and this version has not is told from a typing error. */
import { ABSENT_ADMIN_COMMANDS, ADMIN_COMMANDS } from './adminTable.js';
import { EXIT } from './errorLine.js';
import { runCommand } from './runCommand.js';
import type { Terminal } from './terminal.js';

export async function runAdmin(words: readonly string[], terminal: Terminal): Promise<number> {
  const command = words[0] === 'help' ? words[1] : words[0];
  const reason = ABSENT_ADMIN_COMMANDS.get(command ?? '');
  if (reason !== undefined) {
    terminal.err(`mqadmin: ${command} is not available: ${reason}; "mqadmin help" lists what is`);
    return EXIT.FAILED;
  }
  return runCommand(words, {
    program: 'mqadmin',
    summary: 'administer brokers and name servers',
    rows: ADMIN_COMMANDS,
    terminal,
  });
}
