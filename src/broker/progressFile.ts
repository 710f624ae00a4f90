/**
 * A table of progress on disk: offsets of consumer groups, of delayed messages. Invariant: the file is replaced only
 * after the log is synced up to everything that the progress rests on, so that it never points beyond a log that a
 * crash cut short. A failure is logged once and tried again at the next call.
 */
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { MessageStore } from '../store/messageStore.js';
import type { PersistedTable } from './persistedTable.js';

export interface ProgressFileParts {
  table: PersistedTable;
  store: Pick<MessageStore, 'syncLog'>;
  logger: Logger;
  /** What is saved, as log lines call it: `consumer offsets`. */
  name: string;
  /** The whole table as it is now. */
  snapshot: () => object;
}

export class ProgressFile {
  readonly #parts: ProgressFileParts;
  #isChanged = false;
  #isFailing = false;
  #flushing: Promise<void> | undefined;

  constructor(parts: ProgressFileParts) {
    this.#parts = parts;
  }

  /** The table differs from the file. */
  changed(): void {
    this.#isChanged = true;
  }

  /** Replaces the file when something changed. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flushNow().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flushNow(): Promise<void> {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const { table, store, logger, name, snapshot } = this.#parts;
    const saved = snapshot();
    try {
      await store.syncLog();
      await table.saveSoon(saved);
      this.#isFailing = false;
    } catch (thrown) {
      this.#isChanged = true;
      if (!this.#isFailing) logger.error({ reason: messageOf(thrown) }, `${name} cannot be saved`);
      this.#isFailing = true;
    }
  }
}
