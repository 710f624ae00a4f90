/** Callbacks for the end of a connection: each runs once, one that comes late runs at once. */

export class CloseListeners {
  #listeners: Set<{ run: () => void }> | undefined = new Set();

  /** Returns a way to forget the callback. */
  add(run: () => void): () => void {
    if (this.#listeners === undefined) {
      run();
      return () => {};
    }
    const listener = { run };
    this.#listeners.add(listener);
    return () => this.#listeners?.delete(listener);
  }

  /** Runs all; one that throws is reported and does not keep the others from running. */
  run(onError: (error: unknown) => void): void {
    const listeners = this.#listeners;
    this.#listeners = undefined;
    for (const listener of listeners ?? []) {
      try {
        listener.run();
      } catch (error) {
        onError(error);
      }
    }
  }
}
