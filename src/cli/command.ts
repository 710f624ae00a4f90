/** What a command is: the row that describes it, what it is called with, and what it returns. */
import type { Logger } from '../base/logger.js';
import type { Terminal } from './terminal.js';

/** What a command is called with. */
export interface CommandCall {
  /** In the order of the row's arguments. */
  args: readonly string[];
  /** By name as commander makes it of the flag: `--namesrv-port` is `namesrvPort`. */
  options: Readonly<Record<string, unknown>>;
  terminal: Terminal;
  logger: Logger & { release(): void };
}

/** Returns the exit code. */
export type RunCommand = (call: CommandCall) => Promise<number>;

export interface OptionRow {
  flags: string;
  meaning: string;
  kind?: 'port';
  required?: boolean;
}

export interface CommandRow {
  /** `store verify` is the command `verify` of the group `store`. */
  name: string;
  summary: string;
  arguments?: readonly { name: string; meaning: string; choices?: readonly string[] }[];
  options: readonly OptionRow[];
  load(): Promise<{ run: RunCommand }>;
}

/** Where a store lies when nobody says. */
export const STORE_DEFAULT = './foldlog-data';
