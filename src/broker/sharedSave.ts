/**
 * One save for all changes that were made while the one before it was under way: a thousand changes at once cost two
 * saves, and each is answered only after a save that began with it in place. Upstream saves once for each change.
 */
export class SharedSave {
  readonly #save: () => Promise<void>;
  #running: Promise<void> | undefined;
  /** Begins when the one under way has ended, however. */
  #next: Promise<void> | undefined;

  /** @param save takes what it saves before it first waits */
  constructor(save: () => Promise<void>) {
    this.#save = save;
  }

  /** Resolves or rejects as the first save does that begins from now on; the change must be in place. */
  join(): Promise<void> {
    if (!this.#running) return this.#begin();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  /** Settles when no save is under way or wanted. Never rejects. */
  async idle(): Promise<void> {
    for (let last = this.#next ?? this.#running; last; last = this.#next ?? this.#running) await last.catch(() => {});
  }

  #begin(): Promise<void> {
    const running = this.#save().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
