/**
 * The life of the process that runs a group's handlers, as far as a test of deliveries needs one: it can end at any
 * moment. What ran in it then gets no further. A promise that it waits for never answers, a call that it makes is not
 * made, and what it would have told guard and consumer is not told.
 */

/** Ends what ran in a process that has died, on its way out of the code of others; nobody acts on it. */
export class ProcessDied extends Error {
  constructor() {
    super('the process died (a fault that the test asked for)');
    this.name = 'ProcessDied';
  }
}

export class Life {
  #isOver = false;
  readonly #onEnd = new Set<() => void>();

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
    for (const tell of [...this.#onEnd]) tell();
    this.#onEnd.clear();
  }

  assertLasts(): void {
    if (this.#isOver) throw new ProcessDied();
  }

  /** As the promise, but rejects with {@link ProcessDied} as soon as the life ends. */
  orDie<T>(promise: PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      // What the promise gives after all is nobody's any more, a rejection as well.
      if (this.#isOver) reject(new ProcessDied());
      const die = () => reject(new ProcessDied());
      this.#onEnd.add(die);
      const settle = () => void this.#onEnd.delete(die);
      promise.then(
        (value) => {
          settle();
          resolve(value);
        },
        (thrown: unknown) => {
          settle();
          reject(thrown);
        },
      );
    });
  }

  /** As the promise while life lasts; after its end it never answers: whoever awaits it stands there for ever. */
  whileItLasts<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      promise.then(
        (value) => {
          if (!this.#isOver) resolve(value);
        },
        (thrown: unknown) => {
          if (!this.#isOver) reject(thrown);
        },
      );
    });
  }
}
