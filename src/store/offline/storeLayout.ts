/**
 * Looks at what a store directory is made of before its log is read: sizes and names of files, the JSON files in config/
 * with their `.bak` rule, and foldlog's own marks. Says of each thing that is wrong what a repair may do about it.
 * Changes nothing.
 */
import { readInt64 } from '../../base/bytes.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import { parseLooseJson } from '../../protocol/looseJson.js';
import { decodeIndexHeader, INDEX_HEADER_BYTES, indexFileBytes } from '../keys/indexFormat.js';
import { QUEUE_ENTRY_BYTES } from '../queues/queueEntry.js';
import { CHECKPOINT_BYTES, readAbort } from '../recovery/checkpoint.js';
import { MARKS_DIRECTORY, Marks, readSyncedMark } from '../recovery/marks.js';

export interface StoreSizes {
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  maxHashSlotNum: number;
  maxIndexNum: number;
}

/**
 * MOVE: the file can go, what it says is found out anew or was not readable. RESIZE: it gets the size it must have; bytes
 * that are too many are kept aside, bytes that are too few are missing. NONE: nobody but a person can say.
 */
export type Remedy = 'MOVE' | 'RESIZE' | 'NONE';

export interface LayoutProblem {
  /** Path relative to the store directory. */
  file: string;
  problem: string;
  remedy: Remedy;
  /** Is it found out anew from the log, without loss? */
  isDerived: boolean;
}

export interface StoreLayout {
  sizes: StoreSizes;
  problems: LayoutProblem[];
  /** What is as it should be, but worth a word. */
  notices: string[];
  /** Did our own run crash, so that a file may not have its full length yet? */
  mayBeShort: boolean;
}

const DEFAULT_SIZES: StoreSizes = {
  mappedFileSizeCommitLog: 1024 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 300_000 * QUEUE_ENTRY_BYTES,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
};

/** `given`: what the caller knows; the rest is taken from the last run here, from the files, or is RocketMQ's default. */
export function lookAtLayout(files: Files, directory: string, given: Partial<StoreSizes>): StoreLayout {
  const marks = new Marks(files, directory);
  const running = marks.readRunning();
  const known = sizesOfRun(running?.sizes);
  const sizes: StoreSizes = {
    mappedFileSizeCommitLog:
      given.mappedFileSizeCommitLog ??
      known.mappedFileSizeCommitLog ??
      commonSize(files, [joinPath(directory, 'commitlog')]) ??
      DEFAULT_SIZES.mappedFileSizeCommitLog,
    mappedFileSizeConsumeQueue:
      given.mappedFileSizeConsumeQueue ??
      known.mappedFileSizeConsumeQueue ??
      commonSize(files, queueDirectories(files, directory)) ??
      DEFAULT_SIZES.mappedFileSizeConsumeQueue,
    maxHashSlotNum: given.maxHashSlotNum ?? known.maxHashSlotNum ?? DEFAULT_SIZES.maxHashSlotNum,
    maxIndexNum: given.maxIndexNum ?? known.maxIndexNum ?? DEFAULT_SIZES.maxIndexNum,
  };
  const isOurCrash = running !== undefined && running.token === readAbort(files, directory);
  const layout: StoreLayout = { sizes, problems: [], notices: [], mayBeShort: isOurCrash };
  lookAtLog(files, directory, layout);
  lookAtQueues(files, directory, layout);
  lookAtIndex(files, directory, layout);
  lookAtConfig(files, directory, layout);
  lookAtMarks(files, directory, marks, layout);
  return layout;
}

/** The sizes that `foldlog/running` holds; what is not readable is not known. */
function sizesOfRun(text: string | undefined): Partial<StoreSizes> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text ?? '');
  } catch {
    return {};
  }
  const of = (name: string): number | undefined => {
    const value = (parsed as Record<string, unknown> | null)?.[name];
    return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
  };
  return withoutUndefined({
    mappedFileSizeCommitLog: of('segmentBytes'),
    mappedFileSizeConsumeQueue: of('queueBytes'),
    maxHashSlotNum: of('maxHashSlotNum'),
    maxIndexNum: of('maxIndexNum'),
  });
}

function withoutUndefined(sizes: { [Name in keyof StoreSizes]: number | undefined }): Partial<StoreSizes> {
  return Object.fromEntries(Object.entries(sizes).filter(([, value]) => value !== undefined));
}

interface Listed {
  name: string;
  sizeBytes: number;
}

function listFiles(files: Files, directory: string): Listed[] {
  const listed: Listed[] = [];
  for (const name of files.list(directory)) {
    const stat = files.stat(joinPath(directory, name));
    if (stat && !stat.isDirectory) listed.push({ name, sizeBytes: stat.sizeBytes });
  }
  return listed;
}

/** The size that most files have; undefined without any. */
function commonSize(files: Files, directories: readonly string[]): number | undefined {
  const counts = new Map<number, number>();
  for (const directory of directories) {
    for (const { sizeBytes } of listFiles(files, directory)) {
      if (sizeBytes > 0) counts.set(sizeBytes, (counts.get(sizeBytes) ?? 0) + 1);
    }
  }
  const [most] = [...counts].sort(([sizeA, a], [sizeB, b]) => b - a || sizeB - sizeA);
  return most?.[0];
}

function queueDirectories(files: Files, directory: string): string[] {
  const root = joinPath(directory, 'consumequeue');
  return files
    .list(root)
    .filter((topic) => files.stat(joinPath(root, topic))?.isDirectory)
    .flatMap((topic) =>
      files
        .list(joinPath(root, topic))
        .filter((name) => /^\d+$/.test(name))
        .map((name) => joinPath(root, topic, name)),
    );
}

function belongs(name: string, sizeBytes: number): boolean {
  return /^\d+$/.test(name) && Number.isSafeInteger(Number(name)) && Number(name) % sizeBytes === 0;
}

function lookAtLog(files: Files, directory: string, layout: StoreLayout): void {
  const wanted = layout.sizes.mappedFileSizeCommitLog;
  const present = listFiles(files, joinPath(directory, 'commitlog'));
  // An empty last file counts as absent, as at a start.
  if (present.at(-1)?.sizeBytes === 0) present.pop();
  const isOtherStore = present.length > 0 && present.every((file) => file.sizeBytes === present[0]?.sizeBytes);
  for (const { name, sizeBytes } of present) {
    const file = joinPath('commitlog', name);
    const add = (problem: string, remedy: Remedy) =>
      void layout.problems.push({ file, problem, remedy, isDerived: false });
    if (sizeBytes !== wanted && isOtherStore) {
      add(`has ${sizeBytes} bytes, as all have, and mappedFileSizeCommitLog is ${wanted}: give the right size`, 'NONE');
    } else if (!belongs(name, wanted)) add('does not belong here', 'MOVE');
    else if (sizeBytes < wanted && layout.mayBeShort) {
      layout.notices.push(`${file} has not its full length yet: the next start gives it`);
    } else if (sizeBytes !== wanted) add(`has ${sizeBytes} bytes instead of ${wanted}`, 'RESIZE');
  }
}

function lookAtQueues(files: Files, directory: string, layout: StoreLayout): void {
  const wanted = layout.sizes.mappedFileSizeConsumeQueue;
  const all = queueDirectories(files, directory).map((queue) => ({ queue, present: listFiles(files, queue) }));
  const sizes = new Set(all.flatMap(({ present }) => present.map(({ sizeBytes }) => sizeBytes)));
  const isOtherStore = sizes.size === 1 && !sizes.has(wanted) && !sizes.has(0);
  for (const { queue, present } of all) {
    if (present.at(-1)?.sizeBytes === 0) present.pop();
    const odd = present.find(
      ({ name, sizeBytes }) =>
        !belongs(name, wanted) || (sizeBytes !== wanted && !(layout.mayBeShort && sizeBytes < wanted)),
    );
    if (!odd) continue;
    const where = queue.slice(directory.length).replace(/^\/+/, '');
    const problem = isOtherStore
      ? `has ${odd.sizeBytes} bytes, as all have, and mappedFileSizeConsumeQueue is ${wanted}: give the right size`
      : `has ${odd.sizeBytes} bytes or a name that does not belong here`;
    // One file out of place makes the queue's offsets unsure: all of it is built again.
    for (const { name } of isOtherStore ? [odd] : present) {
      layout.problems.push({
        file: joinPath(where, name),
        problem: name === odd.name ? problem : 'belongs to a queue that must be rebuilt',
        remedy: isOtherStore ? 'NONE' : 'MOVE',
        isDerived: true,
      });
    }
    if (isOtherStore) return;
  }
}

function lookAtIndex(files: Files, directory: string, layout: StoreLayout): void {
  const root = joinPath(directory, 'index');
  const wanted = indexFileBytes(layout.sizes);
  const present = listFiles(files, root).filter(({ name }) => /^\d+$/.test(name));
  const isOtherStore =
    present.length > 0 &&
    present.every(({ sizeBytes }) => sizeBytes === present[0]?.sizeBytes && sizeBytes > 0 && sizeBytes !== wanted);
  for (const { name, sizeBytes } of present) {
    const file = joinPath('index', name);
    const add = (problem: string, remedy: Remedy) =>
      void layout.problems.push({ file, problem, remedy, isDerived: true });
    if (sizeBytes !== wanted) {
      const what = `has ${sizeBytes} bytes and maxHashSlotNum and maxIndexNum make ${wanted}`;
      if (isOtherStore) add(`${what}: give the right ones`, 'NONE');
      else if (!layout.mayBeShort) add(what, 'MOVE');
    } else if (!hasHeader(files, joinPath(root, name))) add('has a header that cannot be true', 'MOVE');
  }
}

function hasHeader(files: Files, path: string): boolean {
  const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
  const file = files.open(path, 'r');
  try {
    file.read(bytes, 0, bytes.length, 0);
    decodeIndexHeader(bytes);
    return true;
  } catch {
    return false;
  } finally {
    file.close();
  }
}

/** A file that is missing, empty or unreadable is replaced by its `.bak`; an unreadable `.bak` stops the broker. */
function lookAtConfig(files: Files, directory: string, layout: StoreLayout): void {
  const root = joinPath(directory, 'config');
  const names = new Set(listFiles(files, root).flatMap(({ name }) => /^(.*\.json)(\.bak)?$/.exec(name)?.[1] ?? []));
  for (const name of [...names].sort()) {
    const main = readability(files, joinPath(root, name));
    if (main === 'READABLE') continue;
    const backup = readability(files, joinPath(root, `${name}.bak`));
    const file = joinPath('config', name);
    if (backup === 'READABLE') {
      if (main === 'UNREADABLE') layout.notices.push(`${file} is not readable: a start takes its .bak`);
      continue;
    }
    if (main === 'ABSENT' && backup === 'ABSENT') continue;
    // Event topics are marked there: without the mark they would take unguarded sends.
    const remedy = name === 'topics.json' ? 'NONE' : 'MOVE';
    const advice = remedy === 'NONE' ? ': restore it from a copy' : '';
    for (const [one, state] of [
      [file, main],
      [`${file}.bak`, backup],
    ] as const) {
      if (state === 'UNREADABLE') {
        layout.problems.push({ file: one, problem: `is not readable${advice}`, remedy, isDerived: false });
      }
    }
  }
}

function readability(files: Files, path: string): 'READABLE' | 'UNREADABLE' | 'ABSENT' {
  const stat = files.stat(path);
  if (!stat || stat.isDirectory || stat.sizeBytes === 0) return 'ABSENT';
  try {
    parseLooseJson(files.readFile(path).toString());
    return 'READABLE';
  } catch {
    return 'UNREADABLE';
  }
}

function lookAtMarks(files: Files, directory: string, marks: Marks, layout: StoreLayout): void {
  for (const name of ['generations', 'deleted'] as const) {
    try {
      marks.read(name);
    } catch {
      const problem = 'is not readable';
      layout.problems.push({ file: markFile(`${name}.json`), problem, remedy: 'MOVE', isDerived: false });
    }
  }
  const synced = marks.fileOf('synced');
  if (files.stat(synced) && !readsAsMark(files, synced) && files.readFile(synced).some((byte) => byte !== 0)) {
    const problem = 'is not readable: without it damage at the end of the log cannot be told from a tail';
    layout.problems.push({ file: markFile('synced'), problem, remedy: 'MOVE', isDerived: false });
  }
  const checkpoint = joinPath(directory, 'checkpoint');
  if (!files.stat(checkpoint)) return;
  const bytes = files.readFile(checkpoint);
  try {
    if (bytes.length > CHECKPOINT_BYTES) throw new RangeError('too long');
    for (let at = 0; at + 8 <= Math.min(48, bytes.length); at += 8) readInt64(bytes, at);
  } catch {
    const problem = 'holds no times and positions';
    layout.problems.push({ file: 'checkpoint', problem, remedy: 'MOVE', isDerived: true });
  }
}

function markFile(name: string): string {
  return joinPath(MARKS_DIRECTORY, name);
}

function readsAsMark(files: Files, path: string): boolean {
  try {
    return readSyncedMark(files, path) !== undefined;
  } catch {
    return false;
  }
}
