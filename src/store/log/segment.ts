/**
 * One fixed-size file of a directory of such files (upstream: `MappedFile`; nothing is mapped here). It has its full
 * size from creation, sparse, and everything not written is zero. Its name is the position of its first byte in the
 * whole sequence, 20 decimal digits.
 */
import { assert } from '../../base/assert.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { FileHandles } from './fileHandles.js';

/** `00000000001073741824` */
export function segmentName(start: number): string {
  return String(start).padStart(20, '0');
}

export class Segment {
  readonly start: number;
  readonly sizeBytes: number;
  readonly path: string;
  readonly #handles: FileHandles;

  constructor(handles: FileHandles, directory: string, start: number, sizeBytes: number) {
    this.#handles = handles;
    this.start = start;
    this.sizeBytes = sizeBytes;
    this.path = joinPath(directory, segmentName(start));
  }

  static create(files: Files, handles: FileHandles, directory: string, start: number, sizeBytes: number): Segment {
    const segment = new Segment(handles, directory, start, sizeBytes);
    const opened = files.open(segment.path, 'a+');
    try {
      opened.truncate(sizeBytes);
    } finally {
      opened.close();
    }
    return segment;
  }

  get end(): number {
    return this.start + this.sizeBytes;
  }

  /** Reads `length` bytes at the absolute `position`. Fewer come back only when the file is shorter than it must be. */
  read(target: Buffer, targetAt: number, length: number, position: number): number {
    assert(position >= this.start && position + length <= this.end, 'a read stays inside its segment');
    return this.#handles.use(this.path).read(target, targetAt, length, position - this.start);
  }

  write(source: Buffer, sourceAt: number, length: number, position: number): void {
    assert(position >= this.start && position + length <= this.end, 'a write stays inside its segment');
    this.#handles.use(this.path).write(source, sourceAt, length, position - this.start);
  }

  /** Makes everything from `position` on zero. Takes no room: the file is cut there and grown again, sparse. */
  zeroFrom(position: number): void {
    const file = this.#handles.use(this.path);
    file.truncate(position - this.start);
    file.truncate(this.sizeBytes);
  }

  sync(): Promise<void> {
    return this.#handles.sync(this.path);
  }

  syncNow(): void {
    this.#handles.syncNow(this.path);
  }
}
