/**
 * A file system in memory that forgets what was not synced. `crash` gives what a machine finds after losing power,
 * `kill` what the next process finds after this one was killed: everything, the unsynced still unsynced. Both leave the
 * old instance dead: whoever still uses it gets EIO, as a process that is gone would.
 *
 * Besides, each change can be watched and made to fail, in part if it is a write, or to be the last thing that the
 * process does; syncs can be made to wait; and the disk to be full after a number of bytes. What is kept of unsynced
 * changes is the business of `faultyDisk.ts`.
 */
import path from 'node:path';
import type { DiskSpace, FileStat, Files, OpenFile } from '../../src/base/files.js';
import { Content, Directory, type Node, SECTOR } from './faultyDisk.js';

const TOTAL_BYTES = 1 << 30;

/** mulberry32: the same seed gives the same faults. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

export const FILE_OPERATIONS = [
  'create',
  'write',
  'truncate',
  'sync',
  'rename',
  'remove',
  'makeDirectory',
  'removeDirectory',
  'syncDirectory',
] as const;

export type FileOperation = (typeof FILE_OPERATIONS)[number];

/** What becomes of a change. Of a write, the whole sectors of `doneBytes` are done before. */
export type Fault = { kind: 'DIE'; doneBytes?: number } | { kind: 'FAIL'; code: 'EIO' | 'ENOSPC'; doneBytes?: number };

export interface FaultyFilesOptions {
  /** The unit in which room is given out. Default 4096. */
  blockBytes?: number;
  /** New directories must be synced into their parent like files. Default false: their names are durable at once. */
  mustSyncDirectories?: boolean;
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

export class FaultyFiles implements Files {
  readonly #options: Required<FaultyFilesOptions>;
  #root = new Directory();
  #isDead = false;
  /** What everything fails with from then on: made once, since a stack each would cost more than all the rest. */
  #gone: Error | undefined;
  /** Bytes of room that are left for new blocks. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** Called before each sync; throws to fail it, waits to delay it. */
  beforeSync: (file: string) => void | Promise<void> = () => {};
  /** Called before each change; says what becomes of it. */
  onChange: (operation: FileOperation, file: string, lengthBytes: number) => Fault | undefined = () => undefined;
  /** Told of each write that did not find room for all of its bytes. */
  onNoRoom: (file: string) => void = () => {};
  /** Chance, where it is needed within a life: which sectors a failed sync leaves behind. */
  random: () => number = () => 0;
  syncCount = 0;
  /** The time that changed files take as their own. */
  now: () => number = () => 0;

  constructor(options: FaultyFilesOptions = {}) {
    this.#options = { blockBytes: 4096, mustSyncDirectories: false, ...options };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  crash(random: () => number): FaultyFiles {
    this.#isDead = true;
    const after = new FaultyFiles(this.#options);
    after.#root = this.#root.afterPowerLoss(random);
    return after;
  }

  /** `dropsStranded`: the pages that failed syncs left behind are gone from memory by then. */
  kill(dropsStranded = false): FaultyFiles {
    this.#isDead = true;
    const after = new FaultyFiles(this.#options);
    after.#root = this.#root.clone();
    if (dropsStranded) for (const [, content] of after.#root.contents('')) content.forgetStranded();
    return after;
  }

  /** Everything that is there, for comparing. */
  contents(): Map<string, Buffer> {
    return new Map([...this.#root.contents('')].map(([name, content]) => [name, content.bytes()]));
  }

  open(file: string, mode: 'r' | 'r+' | 'w+' | 'a+' | 'wx+'): OpenFile {
    this.assertAlive();
    let content = this.#find(file);
    if (content instanceof Directory) throw systemError('EISDIR', file);
    if (!content && (mode === 'r' || mode === 'r+')) throw systemError('ENOENT', file);
    if (content && mode === 'wx+') throw systemError('EEXIST', file);
    if (!content) {
      const directory = this.#directory(path.dirname(file));
      this.#change('create', file);
      content = new Content();
      content.modifiedMillis = this.now();
      directory.set(path.basename(file), content);
    }
    const handle = new FaultyFile(this, file, content);
    if (mode === 'w+' && content.sizeBytes > 0) handle.truncate(0);
    return handle;
  }

  // What follows is for open files.

  write(file: string, content: Content, source: Buffer, sourceAt: number, length: number, position: number): void {
    this.assertAlive();
    const fault = this.onChange('write', file, length);
    const wanted = fault ? wholeSectors(position, fault.doneBytes ?? 0) : length;
    const allowed = this.#allocate(content, position, wanted);
    content.write(source, sourceAt, allowed, position);
    content.modifiedMillis = this.now();
    this.#suffer(fault, file);
    if (allowed === length) return;
    this.onNoRoom(file);
    throw systemError('ENOSPC', file);
  }

  truncate(file: string, content: Content, sizeBytes: number): void {
    this.#change('truncate', file);
    content.truncate(sizeBytes);
    content.modifiedMillis = this.now();
    for (const block of content.blocks) {
      if (block * this.#options.blockBytes < sizeBytes) continue;
      content.blocks.delete(block);
      this.roomBytes += this.#options.blockBytes;
    }
  }

  beginSync(file: string, content: Content): void {
    this.assertAlive();
    const fault = this.onChange('sync', file, 0);
    if (fault?.kind === 'FAIL') content.failSync(this.random);
    this.#suffer(fault, file);
  }

  /** How many of the bytes find room. */
  #allocate(content: Content, position: number, length: number): number {
    const { blockBytes } = this.#options;
    for (let block = Math.floor(position / blockBytes); block * blockBytes < position + length; block += 1) {
      if (content.blocks.has(block)) continue;
      if (this.roomBytes < blockBytes) return Math.max(0, block * blockBytes - position);
      this.roomBytes -= blockBytes;
      content.blocks.add(block);
    }
    return length;
  }

  stat(file: string): FileStat | undefined {
    this.assertAlive();
    const node = this.#find(file);
    if (!node) return undefined;
    if (node instanceof Directory) return { sizeBytes: 0, modifiedMillis: 0, isDirectory: true };
    return { sizeBytes: node.sizeBytes, modifiedMillis: node.modifiedMillis, isDirectory: false };
  }

  list(directory: string): string[] {
    this.assertAlive();
    const node = this.#find(directory);
    return node instanceof Directory ? [...node.names.keys()].sort() : [];
  }

  makeDirectory(directory: string): void {
    this.assertAlive();
    let parent = this.#root;
    let below = '';
    for (const name of partsOf(directory)) {
      below += `/${name}`;
      let node = parent.names.get(name);
      if (!node) {
        this.#change('makeDirectory', below);
        node = new Directory();
        if (this.#options.mustSyncDirectories) parent.set(name, node);
        else parent.setDurably(name, node);
      }
      if (!(node instanceof Directory)) throw systemError('ENOTDIR', below);
      parent = node;
    }
  }

  readFile(file: string): Buffer {
    this.assertAlive();
    const content = this.#find(file);
    if (!(content instanceof Content)) throw systemError('ENOENT', file);
    return content.bytes();
  }

  writeFile(file: string, bytes: Buffer | string): void {
    const opened = this.open(file, 'w+');
    const content = Buffer.from(bytes as string);
    opened.write(content, 0, content.length, 0);
    opened.syncNow();
  }

  rename(from: string, to: string): void {
    this.assertAlive();
    const node = this.#find(from);
    if (!node) throw systemError('ENOENT', from);
    this.#change('rename', from);
    const source = this.#directory(path.dirname(from));
    const target = this.#directory(path.dirname(to));
    const added = [path.basename(to), node] as const;
    const removed = [path.basename(from), undefined] as const;
    if (source === target) source.change([added, removed], undefined);
    else {
      const move = { counted: 0 };
      target.change([added], move);
      source.change([removed], move);
    }
  }

  remove(file: string): void {
    this.assertAlive();
    const content = this.#find(file);
    if (!(content instanceof Content)) return;
    this.#change('remove', file);
    this.roomBytes += content.blocks.size * this.#options.blockBytes;
    this.#directory(path.dirname(file)).set(path.basename(file), undefined);
  }

  removeDirectory(directory: string): void {
    this.assertAlive();
    const node = this.#find(directory);
    if (!(node instanceof Directory)) return;
    for (const [name, below] of [...node.names]) {
      const file = `${directory}/${name}`;
      if (below instanceof Directory) this.removeDirectory(file);
      else this.remove(file);
    }
    this.#change('removeDirectory', directory);
    this.#directory(path.dirname(directory)).set(path.basename(directory), undefined);
  }

  syncDirectory(directory: string): void {
    this.assertAlive();
    const node = this.#directory(directory);
    this.#change('syncDirectory', directory);
    node.sync();
  }

  space(): DiskSpace {
    return { totalBytes: TOTAL_BYTES, availableBytes: Math.min(TOTAL_BYTES, this.roomBytes) };
  }

  #change(operation: FileOperation, file: string): void {
    this.assertAlive();
    this.#suffer(this.onChange(operation, file, 0), file);
  }

  #suffer(fault: Fault | undefined, file: string): void {
    if (fault?.kind === 'FAIL') throw systemError(fault.code, file);
    if (fault?.kind !== 'DIE') return;
    this.#isDead = true;
    this.assertAlive();
  }

  #find(file: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of partsOf(file)) {
      if (!(node instanceof Directory)) return undefined;
      node = node.names.get(name);
    }
    return node;
  }

  #directory(directory: string): Directory {
    const node = this.#find(directory);
    if (node instanceof Directory) return node;
    throw systemError('ENOENT', directory);
  }

  assertAlive(): void {
    if (!this.#isDead) return;
    this.#gone ??= systemError('EIO', 'the process is gone');
    throw this.#gone;
  }
}

class FaultyFile implements OpenFile {
  readonly path: string;
  readonly #files: FaultyFiles;
  readonly #content: Content;

  constructor(files: FaultyFiles, file: string, content: Content) {
    this.path = file;
    this.#files = files;
    this.#content = content;
  }

  size(): number {
    return this.#content.sizeBytes;
  }

  read(target: Buffer, targetAt: number, length: number, position: number): number {
    this.#files.assertAlive();
    return this.#content.read(target, targetAt, length, position);
  }

  write(source: Buffer, sourceAt: number, length: number, position: number): void {
    this.#files.write(this.path, this.#content, source, sourceAt, length, position);
  }

  truncate(sizeBytes: number): void {
    this.#files.truncate(this.path, this.#content, sizeBytes);
  }

  async sync(): Promise<void> {
    this.#files.beginSync(this.path, this.#content);
    const until = this.#content.beginSync();
    const waiting = this.#files.beforeSync(this.path);
    if (waiting) await waiting;
    this.#endSync(until);
  }

  syncNow(): void {
    this.#files.beginSync(this.path, this.#content);
    const until = this.#content.beginSync();
    void this.#files.beforeSync(this.path);
    this.#endSync(until);
  }

  #endSync(until: number): void {
    this.#files.assertAlive();
    this.#files.syncCount += 1;
    this.#content.endSync(until);
  }

  close(): void {}
}

/** A write is interrupted between pages; sectors make for shorter runs and are as whole. */
function wholeSectors(position: number, length: number): number {
  const end = position + length;
  return Math.max(0, end - (end % SECTOR) - position);
}

const KNOWN_PATHS_MAX = 10_000;
const knownPaths = new Map<string, string[]>();

function partsOf(file: string): string[] {
  let parts = knownPaths.get(file);
  if (!parts) {
    parts = file.split('/').filter((name) => name !== '');
    if (knownPaths.size >= KNOWN_PATHS_MAX) knownPaths.clear();
    knownPaths.set(file, parts);
  }
  return parts;
}
