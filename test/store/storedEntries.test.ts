// Entries that recovery reads ahead are those on disk, whatever was written, replaced or cut off in between; and it takes
// a read for 64 of them, not one each.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { diskFiles, type Files } from '../../src/base/files.js';
import { FileHandles } from '../../src/store/log/fileHandles.js';
import { SegmentList } from '../../src/store/log/segmentList.js';
import { encodeEntry, QUEUE_ENTRY_BYTES, type QueueEntry } from '../../src/store/queues/queueEntry.js';
import { QueueExt } from '../../src/store/queues/queueExt.js';
import { StoredEntries } from '../../src/store/queues/storedEntries.js';

const PER_FILE = 100;

function entries(files: Files): StoredEntries {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-entries-'));
  const handles = new FileHandles(files);
  onTestFinished(() => {
    handles.closeAll();
    fs.rmSync(directory, { recursive: true });
  });
  const segments = new SegmentList({ files, handles, directory, segmentBytes: PER_FILE * QUEUE_ENTRY_BYTES });
  const ext = new QueueExt({ files, handles, directory: path.join(directory, 'ext') });
  return new StoredEntries({ segments, ext, scratch: Buffer.alloc(640) });
}

function write(stored: StoredEntries, from: number, count: number, sizeBytes: number): void {
  const bytes = Buffer.alloc(count * QUEUE_ENTRY_BYTES);
  for (let at = 0; at < count; at += 1) {
    encodeEntry(bytes, at * QUEUE_ENTRY_BYTES, { commitLogOffset: (from + at) * 1000, sizeBytes, tagsCode: at });
  }
  stored.write(from, bytes, count);
}

const sizesAt = (stored: StoredEntries, from: number, to: number, read: (offset: number) => QueueEntry | undefined) =>
  Array.from({ length: to - from }, (_, at) => read.call(stored, from + at)?.sizeBytes);

it('what is read ahead follows every change', () => {
  const stored = entries(diskFiles);
  write(stored, 0, PER_FILE, 1);
  write(stored, PER_FILE, PER_FILE, 1);
  expect(stored.nextAt(90)?.sizeBytes).toBe(1);
  write(stored, 92, 3, 2);
  expect(sizesAt(stored, 90, 96, stored.nextAt)).toEqual([1, 1, 2, 2, 2, 1]);
  stored.replace(95, { commitLogOffset: 5, sizeBytes: 3, tagsCode: 0 });
  expect(stored.nextAt(95)?.sizeBytes).toBe(3);
  expect(sizesAt(stored, 60, 200, stored.nextAt)).toEqual(sizesAt(stored, 60, 200, stored.at));
  expect(stored.nextAt(110)?.sizeBytes).toBe(1);
  stored.cutAt(110, true);
  expect(sizesAt(stored, 105, 115, stored.nextAt)).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
  stored.cutAt(PER_FILE, true);
  expect(stored.nextAt(105)).toBeUndefined();
  expect(stored.fileCount).toBe(1);
});

it('takes a read for many entries', () => {
  let readCount = 0;
  const counting: Files = Object.assign(Object.create(diskFiles) as Files, {
    open(file: string, mode: Parameters<Files['open']>[1]) {
      const opened = diskFiles.open(file, mode);
      const read = opened.read.bind(opened);
      return Object.assign(opened, {
        read(...given: Parameters<typeof read>) {
          readCount += 1;
          return read(...given);
        },
      });
    },
  });
  const stored = entries(counting);
  for (let file = 0; file < 10; file += 1) write(stored, file * PER_FILE, PER_FILE, 7);
  readCount = 0;
  for (let offset = 0; offset < 10 * PER_FILE; offset += 1) {
    expect(stored.nextAt(offset)).toMatchObject({ commitLogOffset: offset * 1000, sizeBytes: 7 });
  }
  expect(readCount).toBe(20);
});
