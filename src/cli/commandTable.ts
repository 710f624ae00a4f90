/**
 * The commands of `foldlog`: one row each, with what it takes and where its code is. `runCommand.ts` makes the command
 * line of it. Code is loaded when the command runs, so that `foldlog --help` loads none.
 */
import { APP_OPTIONS } from './appOptions.js';
import { type CommandRow, type OptionRow, STORE_DEFAULT } from './command.js';

const store: OptionRow = { flags: '--store <dir>', meaning: `directory of the store (default: ${STORE_DEFAULT})` };

const conf: OptionRow = {
  flags: '-c, --config <file>',
  meaning: 'the broker.conf that the store was written with, for maxHashSlotNum',
};

export const GROUP_SUMMARIES: Readonly<Record<string, string>> = {
  store: 'look into a store directory that nobody uses',
  events: 'look at the events of an application',
};

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'up',
    summary: 'run a name server and a broker in one process',
    options: [
      store,
      {
        flags: '--namesrv-port <port>',
        meaning: 'port of the name server, 0 for any free one (default: 9876)',
        kind: 'port',
      },
      {
        flags: '--broker-port <port>',
        meaning: 'port of the broker, 0 for any free one (default: 10911)',
        kind: 'port',
      },
      { flags: '-c, --config <file>', meaning: 'a broker.conf (Java properties); flags win over it' },
    ],
    load: () => import('./commands/up.js'),
  },
  {
    name: 'namesrv',
    summary: 'run a name server alone',
    options: [
      { flags: '-p, --port <port>', meaning: 'port, 0 for any free one (default: 9876)', kind: 'port' },
      { flags: '-c, --config <file>', meaning: 'a namesrv.conf (Java properties); flags win over it' },
      { flags: '--store <dir>', meaning: `home directory (default: ${STORE_DEFAULT})` },
    ],
    load: () => import('./commands/namesrv.js'),
  },
  {
    name: 'broker',
    summary: 'run a broker alone',
    options: [
      { flags: '-n, --namesrv <addresses>', meaning: 'name servers, HOST:PORT separated by ; (default: NAMESRV_ADDR)' },
      store,
      { flags: '-p, --port <port>', meaning: 'port, 0 for any free one (default: 10911)', kind: 'port' },
      { flags: '-c, --config <file>', meaning: 'a broker.conf (Java properties); flags win over it' },
    ],
    load: () => import('./commands/broker.js'),
  },
  {
    name: 'shutdown',
    summary: 'stop the broker or the name server that runs from a directory',
    arguments: [{ name: 'role', meaning: 'what to stop', choices: ['broker', 'namesrv'] }],
    options: [store],
    load: () => import('./commands/shutdown.js'),
  },
  {
    name: 'store verify',
    summary: 'check a store directory, also one by Apache RocketMQ; it is changed only with --repair',
    arguments: [{ name: 'dir', meaning: 'directory of the store' }],
    options: [{ flags: '--repair', meaning: 'make a damaged store open again; keeps what it removes' }, conf],
    load: () => import('./commands/storeVerify.js'),
  },
  {
    name: 'store dump',
    summary: 'print what lies in a store directory, one JSON object a line',
    arguments: [{ name: 'dir', meaning: 'directory of the store' }],
    options: [
      {
        flags: '--part <part>',
        meaning: 'commitlog, consumequeue, index, checkpoint, timerlog, timerwheel or timercheck (default: commitlog)',
      },
      { flags: '--topic <topic>', meaning: 'this topic only (commitlog, consumequeue)' },
      { flags: '--limit <count>', meaning: 'at most so many lines' },
      conf,
    ],
    load: () => import('./commands/storeDump.js'),
  },
  {
    name: 'events check',
    summary: 'read every event with the classes of an application and say what cannot be read any more',
    options: [
      ...APP_OPTIONS,
      { flags: '--topic <topic...>', meaning: 'these topics only (default: all event topics)' },
      { flags: '--allow-unknown <type...>', meaning: 'types without a class that are no failure' },
      { flags: '--json', meaning: 'print one JSON object instead of a table' },
    ],
    load: () => import('./commands/eventsCheck.js'),
  },
  {
    name: 'state',
    summary: 'print the state of an aggregate as JSON, now or as of a moment',
    arguments: [{ name: 'stream', meaning: 'KIND:ID, for instance order:42' }],
    options: [
      ...APP_OPTIONS,
      { flags: '--at <time>', meaning: 'ISO time or milliseconds; events of exactly then count (default: now)' },
      { flags: '--by <time>', meaning: 'which time of an event --at means: stored or occurred (default: stored)' },
      { flags: '--topic <topic>', meaning: 'when several aggregates have streams of this kind' },
    ],
    load: () => import('./commands/state.js'),
  },
];
