/**
 * The open files of one store: opened when first used, and no more than a bound of them at a time, the least recently
 * used closed first. So a thousand topics with eight queues each need no thousand descriptors.
 *
 * Closing loses nothing: written bytes are the operating system's, and `sync` opens the file again when it has to.
 * A file whose sync is under way is not closed.
 */
import type { Files, OpenFile } from '../../base/files.js';

interface Held {
  file: OpenFile;
  syncCount: number;
}

export class FileHandles {
  readonly #files: Files;
  readonly #countMax: number;
  readonly #mode: 'r' | 'r+';
  readonly #held = new Map<string, Held>();
  #newest: { path: string; file: OpenFile } | undefined;

  constructor(files: Files, countMax = 256, mode: 'r' | 'r+' = 'r+') {
    this.#files = files;
    this.#countMax = countMax;
    this.#mode = mode;
  }

  /** The open file of a path that must exist. Use it at once: a later call may close it. */
  use(path: string): OpenFile {
    if (this.#newest?.path === path) return this.#newest.file;
    const { file } = this.#hold(path);
    this.#newest = { path, file };
    return file;
  }

  async sync(path: string): Promise<void> {
    const held = this.#hold(path);
    held.syncCount += 1;
    try {
      await held.file.sync();
    } finally {
      held.syncCount -= 1;
    }
  }

  syncNow(path: string): void {
    this.#hold(path).file.syncNow();
  }

  /** Closes one path, before its file is removed or renamed. */
  close(path: string): void {
    const held = this.#held.get(path);
    if (!held) return;
    this.#held.delete(path);
    if (this.#newest?.path === path) this.#newest = undefined;
    held.file.close();
  }

  closeAll(): void {
    for (const path of [...this.#held.keys()]) this.close(path);
  }

  get openCount(): number {
    return this.#held.size;
  }

  #hold(path: string): Held {
    const known = this.#held.get(path);
    if (known) {
      // A Map keeps insertion order: setting anew makes this one the most recently used.
      this.#held.delete(path);
      this.#held.set(path, known);
      return known;
    }
    this.#makeRoom();
    const held = { file: this.#files.open(path, this.#mode), syncCount: 0 };
    this.#held.set(path, held);
    return held;
  }

  #makeRoom(): void {
    if (this.#held.size < this.#countMax) return;
    for (const [path, held] of this.#held) {
      if (held.syncCount > 0) continue;
      this.close(path);
      if (this.#held.size < this.#countMax) return;
    }
  }
}
