/**
 * A file system in memory, for applications under test: nothing of them touches the disk, and nothing of it outlives
 * the process. It keeps the contract of `base/files.ts` with the errors of the system (ENOENT, EEXIST, EISDIR …).
 *
 * A file is kept in pages, and a page that was never written, or only with zeros, does not exist: segments that are
 * created at their full size cost what is written to them. A sync is done at once, since there is no device; a file
 * that is removed while it is open goes on for whoever has it open, as on POSIX.
 */
import { type DiskSpace, type FileStat, type Files, nameOf, type OpenFile, parentOf } from '../base/files.js';

const PAGE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(PAGE_BYTES);
/** What the whole of it may hold, by what it says of itself; never full, so that no retention begins. */
const TOTAL_BYTES = 2 ** 40;

class Content {
  sizeBytes = 0;
  modifiedMillis: number;
  readonly #pages = new Map<number, Buffer>();

  constructor(now: number) {
    this.modifiedMillis = now;
  }

  read(target: Buffer, targetAt: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.sizeBytes - position));
    for (const { page, at, done, size } of piecesOf(position, count)) {
      const bytes = this.#pages.get(page) ?? ZEROS;
      bytes.copy(target, targetAt + done, at, at + size);
    }
    return count;
  }

  write(source: Buffer, sourceAt: number, length: number, position: number): void {
    for (const { page, at, done, size } of piecesOf(position, length)) {
      const bytes = source.subarray(sourceAt + done, sourceAt + done + size);
      let held = this.#pages.get(page);
      if (!held) {
        if (bytes.equals(ZEROS.subarray(0, size))) continue;
        held = Buffer.alloc(PAGE_BYTES);
        this.#pages.set(page, held);
      }
      bytes.copy(held, at);
    }
    // A write of nothing leaves a file as it is, wherever it is aimed at.
    if (length > 0) this.sizeBytes = Math.max(this.sizeBytes, position + length);
  }

  /** What is cut off reads as zeros when the file grows again. */
  truncate(sizeBytes: number): void {
    const lastPage = Math.floor(sizeBytes / PAGE_BYTES);
    if (sizeBytes < this.sizeBytes) {
      for (const page of this.#pages.keys()) if (page > lastPage) this.#pages.delete(page);
      this.#pages.get(lastPage)?.fill(0, sizeBytes % PAGE_BYTES);
    }
    this.sizeBytes = sizeBytes;
  }
}

/** A part of a range that lies in one page: `at` in the page, `done` in the range. */
interface Piece {
  page: number;
  at: number;
  done: number;
  size: number;
}

function* piecesOf(position: number, length: number): Generator<Piece, void, undefined> {
  for (let done = 0; done < length; ) {
    const at = (position + done) % PAGE_BYTES;
    const size = Math.min(PAGE_BYTES - at, length - done);
    yield { page: Math.floor((position + done) / PAGE_BYTES), at, done, size };
    done += size;
  }
}

type Directory = Map<string, Node>;
type Node = Content | Directory;

export class MemoryFiles implements Files {
  readonly #root: Directory = new Map();
  readonly #now: () => number;
  #changes = 0;

  /** @param now the time that changed files take as their own */
  constructor({ now }: { now: () => number }) {
    this.#now = now;
  }

  /** Counts writes, syncs and changed names: as long as it stands still, nothing is being stored. */
  get changes(): number {
    return this.#changes;
  }

  open(file: string, mode: 'r' | 'r+' | 'w+' | 'a+' | 'wx+'): OpenFile {
    let content = this.#find(file);
    if (content instanceof Map) throw systemError('EISDIR', file);
    if (content && mode === 'wx+') throw systemError('EEXIST', file);
    if (!content) {
      if (mode === 'r' || mode === 'r+') throw systemError('ENOENT', file);
      content = new Content(this.#now());
      this.#directory(parentOf(file)).set(nameOf(file), content);
      this.#changes++;
    }
    if (mode === 'w+') content.truncate(0);
    return this.#opened(file, content, mode);
  }

  stat(file: string): FileStat | undefined {
    const node = this.#find(file);
    if (!node) return undefined;
    if (node instanceof Map) return { sizeBytes: 0, modifiedMillis: 0, isDirectory: true };
    return { sizeBytes: node.sizeBytes, modifiedMillis: node.modifiedMillis, isDirectory: false };
  }

  list(directory: string): string[] {
    const node = this.#find(directory);
    if (node instanceof Content) throw systemError('ENOTDIR', directory);
    return node ? [...node.keys()].sort() : [];
  }

  makeDirectory(directory: string): void {
    let parent = this.#root;
    for (const name of partsOf(directory)) {
      let node = parent.get(name);
      if (!node) {
        node = new Map();
        parent.set(name, node);
        this.#changes++;
      }
      if (node instanceof Content) throw systemError('ENOTDIR', directory);
      parent = node;
    }
  }

  readFile(file: string): Buffer {
    const content = this.#find(file);
    if (content instanceof Map) throw systemError('EISDIR', file);
    if (!content) throw systemError('ENOENT', file);
    const bytes = Buffer.alloc(content.sizeBytes);
    content.read(bytes, 0, bytes.length, 0);
    return bytes;
  }

  writeFile(file: string, content: Buffer | string): void {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    this.open(file, 'w+').write(bytes, 0, bytes.length, 0);
  }

  rename(from: string, to: string): void {
    const node = this.#find(from);
    if (!node) throw systemError('ENOENT', from);
    const target = this.#directory(parentOf(to));
    this.#directory(parentOf(from)).delete(nameOf(from));
    target.set(nameOf(to), node);
    this.#changes++;
  }

  remove(file: string): void {
    const node = this.#find(file);
    if (!node) return;
    if (node instanceof Map) throw systemError('EISDIR', file);
    this.#directory(parentOf(file)).delete(nameOf(file));
    this.#changes++;
  }

  removeDirectory(directory: string): void {
    if (!this.#find(directory)) return;
    this.#directory(parentOf(directory)).delete(nameOf(directory));
    this.#changes++;
  }

  syncDirectory(directory: string): void {
    this.#directory(directory);
  }

  space(): DiskSpace {
    return { totalBytes: TOTAL_BYTES, availableBytes: TOTAL_BYTES };
  }

  #opened(path: string, content: Content, mode: string): OpenFile {
    let isClosed = false;
    const use = (): Content => {
      if (isClosed) throw systemError('EBADF', path);
      return content;
    };
    /** `refusal` is what Linux says of it to a file that was opened for reading. */
    const change = (refusal: 'EBADF' | 'EINVAL'): Content => {
      const changed = use();
      if (mode === 'r') throw systemError(refusal, path);
      this.#changes++;
      changed.modifiedMillis = this.#now();
      return changed;
    };
    return {
      path,
      size: () => use().sizeBytes,
      read: (target, targetAt, length, position) => use().read(target, targetAt, length, position),
      write: (source, sourceAt, length, position) => change('EBADF').write(source, sourceAt, length, position),
      truncate: (sizeBytes) => change('EINVAL').truncate(sizeBytes),
      sync: async () => void use(),
      syncNow: () => void use(),
      close() {
        use();
        isClosed = true;
      },
    };
  }

  #find(file: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of partsOf(file)) {
      if (!(node instanceof Map)) return undefined;
      node = node.get(name);
    }
    return node;
  }

  #directory(directory: string): Directory {
    const node = this.#find(directory);
    if (node instanceof Map) return node;
    throw systemError(node ? 'ENOTDIR' : 'ENOENT', directory);
  }
}

function partsOf(file: string): string[] {
  return file.split('/').filter((name) => name !== '' && name !== '.');
}

function systemError(code: string, file: string): Error {
  return Object.assign(new Error(`${code}: ${file} (in memory)`), { code });
}
