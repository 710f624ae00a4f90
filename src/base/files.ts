/**
 * The only file of src/ that touches `node:fs`: what foldlog asks of a file system, and the disk's own answer.
 * Crash tests hand in a faulty one (`test/support/faultyFiles.ts`), so every byte that foldlog writes passes here.
 *
 * Positional writes are synchronous (2 microseconds into the page cache, against 27 for an awaited write); only the
 * sync, which waits for the device, is asynchronous, where it takes longer than the detour (`store/log/syncPace.ts`). Errors come as Node's own with `code` (ENOENT, ENOSPC, EIO …).
 */
import fs from 'node:fs';
import path from 'node:path';

/** An open file. Positions and lengths are bytes. */
export interface OpenFile {
  readonly path: string;
  size(): number;
  /** Reads up to `length` bytes into `target` at `targetAt`; returns how many there were (0 at the end of the file). */
  read(target: Buffer, targetAt: number, length: number, position: number): number;
  /** Writes all `length` bytes of `source` from `sourceAt` at `position`, or throws. */
  write(source: Buffer, sourceAt: number, length: number, position: number): void;
  truncate(sizeBytes: number): void;
  /** fdatasync: resolves when the data, and the metadata needed to read it, are on the device. */
  sync(): Promise<void>;
  /** The same, blocking; for start and stop, and for devices that answer at once. */
  syncNow(): void;
  close(): void;
}

export interface FileStat {
  sizeBytes: number;
  modifiedMillis: number;
  isDirectory: boolean;
  /** Device and inode number, `dev:ino`, where the file system has them: equal for two paths to one file. */
  identity?: string;
}

export interface DiskSpace {
  /** Without what the file system keeps back for the superuser: used bytes are the total less the available ones. */
  totalBytes: number;
  availableBytes: number;
}

export interface Files {
  /** 'r': must exist. 'r+': must exist. 'w+': created empty. 'a+': opened or created, content kept, positional writes. 'wx+': must not exist. */
  open(file: string, mode: 'r' | 'r+' | 'w+' | 'a+' | 'wx+'): OpenFile;
  /** Undefined when there is no such file or directory. */
  stat(file: string): FileStat | undefined;
  /** Names in the directory, sorted; empty when it does not exist. */
  list(directory: string): string[];
  makeDirectory(directory: string): void;
  readFile(file: string): Buffer;
  /** Writes a whole small file and syncs it (not its directory). */
  writeFile(file: string, content: Buffer | string): void;
  rename(from: string, to: string): void;
  /** Removes a file; no error when it is not there. */
  remove(file: string): void;
  removeDirectory(directory: string): void;
  /** Makes created, renamed and removed names in the directory durable. */
  syncDirectory(directory: string): void;
  space(directory: string): DiskSpace;
}

class DiskFile implements OpenFile {
  readonly #descriptor: number;
  readonly path: string;

  constructor(file: string, descriptor: number) {
    this.path = file;
    this.#descriptor = descriptor;
  }

  size(): number {
    return fs.fstatSync(this.#descriptor).size;
  }

  read(target: Buffer, targetAt: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const count = fs.readSync(this.#descriptor, target, targetAt + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(source: Buffer, sourceAt: number, length: number, position: number): void {
    let done = 0;
    while (done < length)
      done += fs.writeSync(this.#descriptor, source, sourceAt + done, length - done, position + done);
  }

  truncate(sizeBytes: number): void {
    fs.ftruncateSync(this.#descriptor, sizeBytes);
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#descriptor, (error) => (error ? reject(error) : resolve()));
    });
  }

  syncNow(): void {
    fs.fdatasyncSync(this.#descriptor);
  }

  close(): void {
    fs.closeSync(this.#descriptor);
  }
}

// 'a+' of node appends whatever the position says, so it is mapped to plain open-or-create.
const FLAGS = {
  r: fs.constants.O_RDONLY,
  'r+': fs.constants.O_RDWR,
  'w+': fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
  'a+': fs.constants.O_RDWR | fs.constants.O_CREAT,
  'wx+': fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
} as const;

/** True when the thrown value is a system error with this code (ENOENT, ENOSPC …). */
export function isSystemError(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && (thrown as NodeJS.ErrnoException).code === code;
}

export const diskFiles: Files = {
  open: (file, mode) => new DiskFile(file, fs.openSync(file, FLAGS[mode], 0o644)),
  stat(file) {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    return (
      stat && {
        sizeBytes: stat.size,
        modifiedMillis: stat.mtimeMs,
        isDirectory: stat.isDirectory(),
        identity: `${stat.dev}:${stat.ino}`,
      }
    );
  },
  list(directory) {
    try {
      return fs.readdirSync(directory).sort();
    } catch (thrown) {
      if (isSystemError(thrown, 'ENOENT')) return [];
      throw thrown;
    }
  },
  makeDirectory: (directory) => void fs.mkdirSync(directory, { recursive: true }),
  readFile: (file) => fs.readFileSync(file),
  writeFile(file, content) {
    const opened = this.open(file, 'w+');
    try {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      opened.write(bytes, 0, bytes.length, 0);
      opened.syncNow();
    } finally {
      opened.close();
    }
  },
  rename: (from, to) => fs.renameSync(from, to),
  remove: (file) => fs.rmSync(file, { force: true }),
  removeDirectory: (directory) => fs.rmSync(directory, { recursive: true, force: true }),
  syncDirectory(directory) {
    const descriptor = fs.openSync(directory, fs.constants.O_RDONLY);
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },
  space(directory) {
    const { blocks, bfree, bavail, bsize } = fs.statfsSync(directory);
    return { totalBytes: (blocks - bfree + bavail) * bsize, availableBytes: bavail * bsize };
  },
};

export const joinPath = path.join;
export const parentOf = path.dirname;
export const nameOf = path.basename;
