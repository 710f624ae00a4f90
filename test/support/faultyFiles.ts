/**
 * A file system in memory that forgets what was not synced. `crash` gives what a machine would find after losing power:
 * of each file, the bytes of its last sync plus, sector by sector and by chance, some of those written since; of each
 * directory, the names of its last sync plus some of the changes since, in order. `kill` gives what a killed process
 * leaves: everything. Both leave the old instance dead: whoever still uses it gets EIO, as a process that is gone would.
 *
 * Besides, syncs can be made to fail or to wait, and the disk to be full after a number of bytes.
 */
import path from 'node:path';
import type { DiskSpace, FileStat, Files, OpenFile } from '../../src/base/files.js';

const SECTOR = 512;
const BLOCK = 4096;

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

type Change = { kind: 'write'; at: number; bytes: Buffer } | { kind: 'truncate'; sizeBytes: number };

/** A file's content, whatever its names. */
class Content {
  live: Buffer;
  durable: Buffer;
  unsynced: Change[] = [];
  blocks = new Set<number>();

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.live = Buffer.from(bytes);
    this.durable = Buffer.from(bytes);
  }

  change(change: Change): void {
    this.live = applied(this.live, change);
    this.unsynced.push(change);
  }

  sync(): void {
    this.durable = Buffer.from(this.live);
    this.unsynced = [];
  }

  /** What may be left of it: sectors of unsynced writes by chance. */
  afterCrash(random: () => number): Buffer {
    let bytes: Buffer = Buffer.from(this.durable);
    const survival = random();
    for (const change of this.unsynced) {
      if (change.kind === 'truncate') {
        if (random() < survival) bytes = applied(bytes, change);
        continue;
      }
      for (let at = 0; at < change.bytes.length; ) {
        const next = Math.min(change.bytes.length, at + SECTOR - ((change.at + at) % SECTOR));
        if (random() < survival) {
          bytes = applied(bytes, { kind: 'write', at: change.at + at, bytes: change.bytes.subarray(at, next) });
        }
        at = next;
      }
    }
    return bytes;
  }
}

function applied(bytes: Buffer, change: Change): Buffer {
  if (change.kind === 'truncate') {
    if (change.sizeBytes <= bytes.length) return Buffer.from(bytes.subarray(0, change.sizeBytes));
    return Buffer.concat([bytes, Buffer.alloc(change.sizeBytes - bytes.length)]);
  }
  const end = change.at + change.bytes.length;
  const target = end > bytes.length ? Buffer.concat([bytes, Buffer.alloc(end - bytes.length)]) : bytes;
  change.bytes.copy(target, change.at);
  return target;
}

type NameChange = { name: string; content: Content | undefined };

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

export class FaultyFiles implements Files {
  /** Live names, and those that a crash cannot take; directories by path. */
  readonly #names = new Map<string, Content>();
  readonly #durableNames = new Map<string, Content>();
  readonly #unsyncedNames = new Map<string, NameChange[]>();
  readonly #directories = new Set<string>(['/']);
  #isDead = false;
  /** Bytes of room that are left for new blocks. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** Called before each sync; throws to fail it, waits to delay it. */
  beforeSync: (file: string) => void | Promise<void> = () => {};
  syncCount = 0;

  crash(random: () => number): FaultyFiles {
    this.#isDead = true;
    const after = new FaultyFiles();
    const names = new Map(this.#durableNames);
    for (const changes of this.#unsyncedNames.values()) {
      const kept = Math.floor(random() * (changes.length + 1));
      for (const { name, content } of changes.slice(0, kept)) {
        if (content) names.set(name, content);
        else names.delete(name);
      }
    }
    for (const [name, content] of names) after.#adopt(name, content.afterCrash(random));
    return after;
  }

  kill(): FaultyFiles {
    this.#isDead = true;
    const after = new FaultyFiles();
    for (const [name, content] of this.#names) after.#adopt(name, content.live);
    return after;
  }

  /** Everything that is there, for comparing. */
  contents(): Map<string, Buffer> {
    return new Map([...this.#names].map(([name, { live }]) => [name, Buffer.from(live)]));
  }

  open(file: string, mode: 'r' | 'r+' | 'w+' | 'a+' | 'wx+'): OpenFile {
    this.#assertAlive();
    let content = this.#names.get(file);
    if (!content && (mode === 'r' || mode === 'r+')) throw systemError('ENOENT', file);
    if (content && mode === 'wx+') throw systemError('EEXIST', file);
    if (!content) {
      if (!this.#directories.has(path.dirname(file))) throw systemError('ENOENT', path.dirname(file));
      content = new Content();
      this.#setName(file, content);
    }
    if (mode === 'w+' && content.live.length > 0) content.change({ kind: 'truncate', sizeBytes: 0 });
    return this.#handle(file, content);
  }

  #handle(file: string, content: Content): OpenFile {
    const sync = () => {
      this.#assertAlive();
      this.syncCount += 1;
      content.sync();
    };
    return {
      path: file,
      size: () => content.live.length,
      read: (target, targetAt, length, position) => {
        this.#assertAlive();
        return content.live.copy(target, targetAt, position, Math.min(content.live.length, position + length));
      },
      write: (source, sourceAt, length, position) => {
        this.#assertAlive();
        const allowed = this.#allocate(content, position, length);
        const bytes = Buffer.from(source.subarray(sourceAt, sourceAt + allowed));
        if (allowed > 0) content.change({ kind: 'write', at: position, bytes });
        if (allowed < length) throw systemError('ENOSPC', file);
      },
      truncate: (sizeBytes) => {
        this.#assertAlive();
        content.change({ kind: 'truncate', sizeBytes });
        for (const block of content.blocks) {
          if (block * BLOCK < sizeBytes) continue;
          content.blocks.delete(block);
          this.roomBytes += BLOCK;
        }
      },
      sync: async () => {
        await this.beforeSync(file);
        sync();
      },
      syncNow: () => {
        void this.beforeSync(file);
        sync();
      },
      close: () => {},
    };
  }

  /** How many of the bytes find room. */
  #allocate(content: Content, position: number, length: number): number {
    const first = Math.floor(position / BLOCK);
    for (let block = first; block * BLOCK < position + length; block += 1) {
      if (content.blocks.has(block)) continue;
      if (this.roomBytes < BLOCK) return Math.max(0, block * BLOCK - position);
      this.roomBytes -= BLOCK;
      content.blocks.add(block);
    }
    return length;
  }

  stat(file: string): FileStat | undefined {
    this.#assertAlive();
    const content = this.#names.get(file);
    if (content) return { sizeBytes: content.live.length, modifiedMillis: 0, isDirectory: false };
    if (this.#directories.has(file)) return { sizeBytes: 0, modifiedMillis: 0, isDirectory: true };
    return undefined;
  }

  list(directory: string): string[] {
    this.#assertAlive();
    const names = [...this.#names.keys(), ...this.#directories].filter((name) => path.dirname(name) === directory);
    return [...new Set(names.filter((name) => name !== directory).map((name) => path.basename(name)))].sort();
  }

  makeDirectory(directory: string): void {
    this.#assertAlive();
    for (let name = directory; !this.#directories.has(name); name = path.dirname(name)) this.#directories.add(name);
  }

  readFile(file: string): Buffer {
    this.#assertAlive();
    const content = this.#names.get(file);
    if (!content) throw systemError('ENOENT', file);
    return Buffer.from(content.live);
  }

  writeFile(file: string, bytes: Buffer | string): void {
    const opened = this.open(file, 'w+');
    const content = Buffer.from(bytes as string);
    opened.write(content, 0, content.length, 0);
    opened.syncNow();
  }

  rename(from: string, to: string): void {
    this.#assertAlive();
    const content = this.#names.get(from);
    if (!content) throw systemError('ENOENT', from);
    this.#setName(to, content);
    this.#setName(from, undefined);
  }

  remove(file: string): void {
    this.#assertAlive();
    const content = this.#names.get(file);
    if (!content) return;
    this.roomBytes += content.blocks.size * BLOCK;
    this.#setName(file, undefined);
  }

  removeDirectory(directory: string): void {
    this.#assertAlive();
    for (const name of [...this.#names.keys()]) if (name.startsWith(`${directory}/`)) this.#setName(name, undefined);
    for (const name of [...this.#directories]) {
      if (name === directory || name.startsWith(`${directory}/`)) this.#directories.delete(name);
    }
  }

  syncDirectory(directory: string): void {
    this.#assertAlive();
    for (const { name, content } of this.#unsyncedNames.get(directory) ?? []) {
      if (content) this.#durableNames.set(name, content);
      else this.#durableNames.delete(name);
    }
    this.#unsyncedNames.delete(directory);
  }

  space(): DiskSpace {
    return { totalBytes: 1 << 30, availableBytes: Math.min(1 << 30, this.roomBytes) };
  }

  #setName(name: string, content: Content | undefined): void {
    if (content) this.#names.set(name, content);
    else this.#names.delete(name);
    const directory = path.dirname(name);
    const changes = this.#unsyncedNames.get(directory) ?? [];
    changes.push({ name, content });
    this.#unsyncedNames.set(directory, changes);
  }

  #adopt(name: string, bytes: Buffer): void {
    const content = new Content(bytes);
    this.#names.set(name, content);
    this.#durableNames.set(name, content);
    this.makeDirectory(path.dirname(name));
  }

  #assertAlive(): void {
    if (this.#isDead) throw systemError('EIO', 'the process is gone');
  }
}
