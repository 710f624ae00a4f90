/**
 * Directories that a benchmark fills, under --dir or the system's place for temporary files. They are removed when it
 * ends, fails, or is interrupted.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export class TemporaryDirectories {
  readonly #parent: string;
  readonly #made = new Set<string>();

  constructor(parent = tmpdir()) {
    this.#parent = parent;
    // A store under way may still write while it is removed; the process ends right after.
    process.once('exit', () => this.removeAll());
    for (const [signal, code] of Object.entries(SIGNALS)) process.once(signal, () => process.exit(code));
  }

  make(): string {
    const directory = mkdtempSync(path.join(this.#parent, 'foldlog-bench-'));
    this.#made.add(directory);
    return directory;
  }

  remove(directory: string): void {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    this.#made.delete(directory);
  }

  removeAll(): void {
    for (const directory of [...this.#made]) this.remove(directory);
  }
}
