/**
 * `--app FILE`: the application whose classes a command needs. The file's default export is what `Foldlog.start` takes;
 * where its log lies may be said differently on the command line. The file is imported, nothing of it is started.
 */
import { pathToFileURL } from 'node:url';
import { FoldlogError, messageOf } from '../base/errors.js';
import { joinPath } from '../base/files.js';
import { type AppLog, openAppLog } from '../runtime/appLog.js';
import type { FoldlogOptions } from '../runtime/foldlogOptions.js';
import type { CommandCall } from './command.js';
import { usageError } from './errorLine.js';
import { RunFiles } from './runFiles.js';

const TYPESCRIPT = /\.[cm]?tsx?$/;

/** Opens the log of the application that the command line names, runs the body, closes it. */
export async function withAppLog(call: CommandCall, body: (log: AppLog) => Promise<number>): Promise<number> {
  const options = await appOptionsOf(call);
  const log = await openAppLog(options);
  try {
    return await body(log);
  } finally {
    await log.close();
  }
}

/** What `Foldlog.start` would get, with the log that the command line names. */
export async function appOptionsOf(call: CommandCall): Promise<FoldlogOptions> {
  const { options, terminal, logger } = call;
  const file = String(options['app']);
  const { store: givenStore, namesrv: givenNamesrv } = options;
  if (givenStore !== undefined && givenNamesrv !== undefined) throw usageError('give either --store or -n, not both');
  const { store, namesrv, config, listen, namesrvPort, brokerPort, ...app } = await importApp(call, file);
  const address = givenNamesrv ?? (givenStore === undefined ? (namesrv ?? undefined) : undefined);
  if (typeof address === 'string') return { ...app, namesrv: address, logger };
  const directory = givenStore ?? store;
  if (typeof directory === 'string') {
    assertStore(call, directory);
    return { ...app, store: directory, ...(config === undefined ? {} : { config }), logger };
  }
  const inherited = terminal.env['NAMESRV_ADDR'];
  if (inherited) return { ...app, namesrv: inherited, logger };
  throw usageError(`where is the log? ${file} names neither store nor namesrv: give --store DIR or -n HOST:PORT`);
}

async function importApp({ terminal }: CommandCall, file: string): Promise<FoldlogOptions> {
  if (!terminal.files.stat(file)) throw new FoldlogError('OPTIONS_INVALID', `--app ${file}: no such file`);
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    const hint = TYPESCRIPT.test(file) ? `; TypeScript files need tsx: NODE_OPTIONS='--import tsx'` : '';
    throw new FoldlogError('OPTIONS_INVALID', `--app ${file} cannot be imported: ${messageOf(cause)}${hint}`, {
      cause,
    });
  }
  const app = module.default;
  if (typeof app !== 'object' || app === null || !Array.isArray((app as { handlers?: unknown }).handlers)) {
    throw new FoldlogError(
      'OPTIONS_INVALID',
      `--app ${file}: its default export is not what Foldlog.start takes: { handlers: […], store or namesrv, … }`,
    );
  }
  return app as FoldlogOptions;
}

/** Opening a directory without a store would make one. */
function assertStore({ terminal: { files } }: CommandCall, directory: string): void {
  // A store that nothing was written to yet has no commit log.
  if (!['commitlog', 'foldlog'].some((part) => files.stat(joinPath(directory, part))?.isDirectory)) {
    throw new FoldlogError('OPTIONS_INVALID', `${directory} holds no store: there is no directory commitlog in it`);
  }
  const found = new RunFiles({ home: directory, files }).find('broker');
  if (found.status !== 'RUNS') return;
  throw new FoldlogError(
    'STORE_LOCKED',
    `a broker (process ${found.running.pid}) runs from ${directory}: read through it with -n HOST:PORT instead`,
    { directory },
  );
}
