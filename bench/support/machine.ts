/** What the machine itself gives, measured beside the store: its limits for the same bytes. */
import { closeSync, fdatasync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { diskFiles, type Files, type OpenFile } from '../../src/base/files.js';
import type { Work } from './frame.js';

const WRITE_BYTES = 64 * 1024;
const FILL_BYTES = 1024 * 1024;

/** Writes one fresh file from front to back, 64 KiB a call; an operation is one record's worth of bytes. */
export function sequentialWrite(directory: string, recordBytes: number, count: number): Work<unknown> {
  const file = path.join(directory, 'sequential');
  const piece = Buffer.alloc(WRITE_BYTES, 'x');
  return {
    name: `plain sequential write, ${recordBytes} B`,
    count,
    bytesPerOperation: recordBytes,
    prepare: () => rmSync(file, { force: true }),
    run() {
      const descriptor = openSync(file, 'w');
      let left = recordBytes * count;
      for (let position = 0; left > 0; ) {
        const written = writeSync(descriptor, piece, 0, Math.min(left, piece.length), position);
        position += written;
        left -= written;
      }
      closeSync(descriptor);
    },
    end: () => rmSync(file, { force: true }),
    remark: 'no sync; the limit of ASYNC_FLUSH',
  };
}

/** One record, one fdatasync, again: into blocks that are allocated, as those of the store are. */
export function bareSyncLoop(directory: string, recordBytes: number, count: number): Work<unknown> {
  const file = filledFile(directory, 'synced', recordBytes * count);
  const record = Buffer.alloc(recordBytes, 'x');
  return {
    name: `bare write and fdatasync, ${recordBytes} B`,
    count,
    run() {
      for (let index = 0; index < count; index += 1) {
        writeSync(file.descriptor, record, 0, record.length, index * recordBytes);
        fdatasyncSync(file.descriptor);
      }
    },
    end: file.remove,
    remark: 'the limit of SYNC_FLUSH with 1 in flight',
  };
}

/** `inFlight` records, one asynchronous fdatasync, again. */
export function bareGroupCommit(
  directory: string,
  recordBytes: number,
  inFlight: number,
  count: number,
): Work<unknown> {
  const file = filledFile(directory, 'grouped', recordBytes * count);
  const group = Buffer.alloc(recordBytes * inFlight, 'x');
  const sync = promisify(fdatasync);
  return {
    name: `bare group commit of ${inFlight}, ${recordBytes} B`,
    count,
    async run() {
      for (let done = 0; done + inFlight <= count; done += inFlight) {
        writeSync(file.descriptor, group, 0, group.length, done * recordBytes);
        await sync(file.descriptor);
      }
    },
    end: file.remove,
    remark: `the limit of SYNC_FLUSH with ${inFlight} in flight`,
  };
}

function filledFile(directory: string, name: string, sizeBytes: number): { descriptor: number; remove: () => void } {
  const file = path.join(directory, name);
  const descriptor = openSync(file, 'w+');
  const zeros = Buffer.alloc(FILL_BYTES);
  for (let position = 0; position < sizeBytes; position += zeros.length) {
    writeSync(descriptor, zeros, 0, zeros.length, position);
  }
  fdatasyncSync(descriptor);
  return {
    descriptor,
    remove() {
      closeSync(descriptor);
      rmSync(file, { force: true });
    },
  };
}

/** The disk's files, with the syncs of the commit log counted. */
export class CountedFiles {
  syncCount = 0;
  readonly files: Files = {
    ...diskFiles,
    open: (file, mode) => {
      const opened = diskFiles.open(file, mode);
      return file.includes('/commitlog/') ? this.#counted(opened) : opened;
    },
  };

  #counted(file: OpenFile): OpenFile {
    return {
      path: file.path,
      size: () => file.size(),
      read: (target, targetAt, length, position) => file.read(target, targetAt, length, position),
      write: (source, sourceAt, length, position) => file.write(source, sourceAt, length, position),
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      sync: () => {
        this.syncCount += 1;
        return file.sync();
      },
      syncNow: () => {
        this.syncCount += 1;
        file.syncNow();
      },
      close: () => file.close(),
    };
  }
}
