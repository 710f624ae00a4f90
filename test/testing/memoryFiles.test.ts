/** Files in memory answer as the disk does: the same operations on both, drawn at random, compared one by one. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diskFiles, type Files, type OpenFile } from '../../src/base/files.js';
import { MemoryFiles } from '../../src/testing/memoryFiles.js';

const PATHS = ['a', 'b', 'dir', 'dir/a', 'dir/b', 'dir/sub', 'dir/sub/c'] as const;
const MODES = ['r', 'r+', 'w+', 'a+', 'wx+'] as const;
const PAGE = 64 * 1024;

const onPath = fc.constantFrom(...PATHS);
const at = fc.oneof(fc.nat(20), fc.integer({ min: PAGE - 10, max: PAGE + 10 }), fc.constant(3 * PAGE - 1));
const length = fc.oneof(fc.nat(30), fc.constant(2 * PAGE));

const operation = fc.oneof(
  fc.record({ kind: fc.constant('open' as const), path: onPath, mode: fc.constantFrom(...MODES) }),
  fc.record({ kind: fc.constant('write' as const), at, length, fill: fc.constantFrom(0, 1, 255) }),
  fc.record({ kind: fc.constant('read' as const), at, length }),
  fc.record({ kind: fc.constant('truncate' as const), at }),
  fc.record({ kind: fc.constantFrom('close' as const, 'size' as const) }),
  fc.record({
    kind: fc.constantFrom(
      'stat' as const,
      'list' as const,
      'makeDirectory' as const,
      'readFile' as const,
      'writeFile' as const,
      'remove' as const,
      'removeDirectory' as const,
      'syncDirectory' as const,
    ),
    path: onPath,
  }),
  fc.record({ kind: fc.constant('rename' as const), path: onPath, to: onPath }),
);

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** A file system under a root, with one open file. */
class Subject {
  #open: OpenFile | undefined;
  readonly #files: Files;
  readonly #root: string;

  constructor(files: Files, root: string) {
    this.#files = files;
    this.#root = root;
  }

  /** What comes of it, or the code of the error. */
  perform(one: Operation): unknown {
    try {
      return this.#perform(one);
    } catch (thrown) {
      const { code } = thrown as { code?: string };
      if (code === undefined) throw thrown;
      return code;
    }
  }

  #perform(one: Operation): unknown {
    const files = this.#files;
    switch (one.kind) {
      case 'open':
        this.close();
        this.#open = files.open(this.#at(one.path), one.mode);
        return undefined;
      case 'write':
        return this.#open?.write(Buffer.alloc(one.length, one.fill), 0, one.length, one.at);
      case 'read': {
        const target = Buffer.alloc(one.length + 3, 7);
        const count = this.#open?.read(target, 2, one.length, one.at);
        return { count, bytes: target.toString('hex') };
      }
      case 'truncate':
        return this.#open?.truncate(one.at);
      case 'size':
        return this.#open?.size();
      case 'close':
        return this.close();
      case 'stat': {
        const stat = files.stat(this.#at(one.path));
        return stat && { isDirectory: stat.isDirectory, sizeBytes: stat.isDirectory ? 0 : stat.sizeBytes };
      }
      case 'list':
        return files.list(this.#at(one.path));
      case 'readFile':
        return files.readFile(this.#at(one.path)).toString('hex');
      case 'writeFile':
        return files.writeFile(this.#at(one.path), one.path);
      case 'rename':
        return files.rename(this.#at(one.path), this.#at(one.to));
      default:
        return files[one.kind](this.#at(one.path));
    }
  }

  close(): void {
    this.#open?.close();
    this.#open = undefined;
  }

  #at(file: string): string {
    return path.join(this.#root, file);
  }
}

const DIRECTORIES: readonly string[] = ['dir', 'dir/sub'];

/** No code takes a directory for a file or the other way round, and the disk has ways of its own to answer that. */
function isCommonGround(one: Operation): boolean {
  switch (one.kind) {
    case 'makeDirectory':
    case 'removeDirectory':
    case 'syncDirectory':
    case 'list':
      return DIRECTORIES.includes(one.path);
    case 'rename':
      return ![one.path, one.to].some((name) => DIRECTORIES.includes(name));
    case 'open':
    case 'writeFile':
    case 'remove':
      return !DIRECTORIES.includes(one.path);
    default:
      return true;
  }
}

describe('files in memory', () => {
  it('are as those on the disk, whatever is done to them', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const root = mkdtempSync(path.join(os.tmpdir(), 'foldlog-files-'));
        const memory = new MemoryFiles({ now: () => 0 });
        memory.makeDirectory(root);
        const [inMemory, onDisk] = [new Subject(memory, root), new Subject(diskFiles, root)];
        try {
          for (const one of operations) {
            if (!isCommonGround(one)) continue;
            expect(inMemory.perform(one), JSON.stringify(one)).toEqual(onDisk.perform(one));
          }
        } finally {
          onDisk.close();
          rmSync(root, { recursive: true });
        }
      }),
      { numRuns: 150 },
    );
  });

  it('what was cut off is zeros when the file grows again, within a page and beyond', () => {
    const memory = new MemoryFiles({ now: () => 0 });
    memory.makeDirectory('/d');
    const file = memory.open('/d/f', 'a+');
    file.write(Buffer.alloc(2 * PAGE, 1), 0, 2 * PAGE, 0);
    file.truncate(10);
    file.truncate(2 * PAGE);
    const bytes = memory.readFile('/d/f');
    expect(bytes.length).toBe(2 * PAGE);
    expect(bytes.lastIndexOf(1)).toBe(9);
  });

  it('a file of zeros, however long, holds no memory', () => {
    const memory = new MemoryFiles({ now: () => 0 });
    memory.makeDirectory('/d');
    const file = memory.open('/d/f', 'a+');
    const before = process.memoryUsage().arrayBuffers;
    file.truncate(2 ** 34);
    file.write(Buffer.alloc(PAGE), 0, PAGE, 5 * PAGE);
    expect(file.size()).toBe(2 ** 34);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * PAGE);
  });

  it('a closed file refuses, one that was removed goes on for whoever has it open', () => {
    const memory = new MemoryFiles({ now: () => 5 });
    memory.makeDirectory('/d');
    const file = memory.open('/d/f', 'w+');
    memory.remove('/d/f');
    file.write(Buffer.from('x'), 0, 1, 0);
    expect(file.size()).toBe(1);
    expect(memory.stat('/d/f')).toBeUndefined();
    file.close();
    expect(() => file.size()).toThrow(/EBADF/);
    memory.writeFile('/d/g', 'x');
    expect(memory.stat('/d/g')?.modifiedMillis).toBe(5);
    const reader = memory.open('/d/g', 'r');
    expect(() => reader.truncate(0)).toThrow(/EINVAL/);
    expect(() => reader.write(Buffer.alloc(1), 0, 1, 0)).toThrow(/EBADF/);
  });

  it('counts what is changed', () => {
    const memory = new MemoryFiles({ now: () => 0 });
    memory.makeDirectory('/d');
    memory.writeFile('/d/f', 'x');
    const { changes } = memory;
    memory.readFile('/d/f');
    expect(memory.changes).toBe(changes);
    memory.rename('/d/f', '/d/g');
    expect(memory.changes).toBeGreaterThan(changes);
  });
});
