/**
 * From the words of a command line to a row of a command table and back to an exit code. Wrong usage is told by
 * commander and exits with 2; every other error becomes one line (`errorLine.ts`) and exits with 1.
 */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { CommandRow, OptionRow } from './command.js';
import { COMMANDS, GROUP_SUMMARIES } from './commandTable.js';
import { EXIT, errorLine, exitCodeOf } from './errorLine.js';
import { LogLines } from './logLines.js';
import type { Terminal } from './terminal.js';

export interface CommandLine {
  /** How usage texts call the program. */
  program: string;
  summary: string;
  rows: readonly CommandRow[];
  terminal: Terminal;
  /** Runs this row whatever the first word is: `mqbroker -c x` is `foldlog broker -c x`. */
  only?: string;
}

/** Runs one command; the promise resolves with its exit code and never rejects. */
export async function runCommand(words: readonly string[], line: CommandLine): Promise<number> {
  const { terminal } = line;
  let exitCode: number = EXIT.DONE;
  const verbose = words.includes('--verbose');
  const run = (row: CommandRow) => async (args: readonly string[], options: Record<string, unknown>) => {
    const logger = new LogLines(terminal, { json: options['logJson'] === true, verbose });
    const { run: body } = await row.load();
    exitCode = await body({ args, options, terminal, logger });
  };
  try {
    await commandOf(line, run).parseAsync([...words], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    // Commander has written its own message, the help text included.
    const isTold = thrown instanceof CommanderError && thrown.code.startsWith('commander.');
    if (!isTold) terminal.err(`${line.program}: ${errorLine(thrown, { verbose })}`);
    return exitCodeOf(thrown);
  }
}

/** The commands of `foldlog` itself. */
export function runFoldlog(words: readonly string[], terminal: Terminal, only?: string): Promise<number> {
  const program = only === undefined ? 'foldlog' : `mq${only}`;
  const line = { program, summary: SUMMARY, rows: COMMANDS, terminal };
  return runCommand(words, only === undefined ? line : { ...line, only });
}

const SUMMARY = 'event sourcing on an embedded log broker that speaks RocketMQ';

type Runner = (row: CommandRow) => (args: readonly string[], options: Record<string, unknown>) => Promise<void>;

function commandOf({ program, summary, rows, terminal, only }: CommandLine, run: Runner): Command {
  const root = prepared(new Command(program), terminal);
  const single = rows.find(({ name }) => name === only);
  if (single) return withRow(root, single, run);
  root.description(summary);
  const groups = new Map<string, Command>();
  for (const row of rows) {
    const [first = '', second] = row.name.split(' ');
    if (second === undefined) {
      withRow(prepared(root.command(first), terminal), row, run);
      continue;
    }
    let group = groups.get(first);
    if (!group) {
      group = prepared(root.command(first), terminal).description(GROUP_SUMMARIES[first] ?? '');
      groups.set(first, group);
    }
    withRow(prepared(group.command(second), terminal), row, run);
  }
  return root;
}

function prepared(command: Command, terminal: Terminal): Command {
  return command
    .exitOverride()
    .helpCommand(true)
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    });
}

function withRow(command: Command, row: CommandRow, run: Runner): Command {
  command.description(row.summary);
  for (const { name, meaning, choices } of row.arguments ?? []) {
    const argument = new Argument(`<${name}>`, meaning);
    command.addArgument(choices ? argument.choices(choices) : argument);
  }
  for (const option of row.options) command.addOption(optionOf(option));
  command.option('--log-json', 'write the log as one JSON object a line');
  command.option('--verbose', 'write debug lines and stack traces too');
  return command.action((...given: unknown[]) => {
    const args = given.slice(0, row.arguments?.length ?? 0).map(String);
    return run(row)(args, command.opts());
  });
}

function optionOf({ flags, meaning, kind, required }: OptionRow): Option {
  const option = new Option(flags, meaning);
  if (required) option.makeOptionMandatory();
  return kind === 'port' ? option.argParser(portOf) : option;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}
