/** Many jobs at once, but jobs of one key in the order in which they were given: what a stream of events needs. */

export class Lanes {
  readonly #last = new Map<string, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  readonly #atOnce: number;
  #running = 0;
  #failure: { reason: unknown } | undefined;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Resolves as soon as there is room to give the next job; rejects when a job has failed. */
  async give(key: string, job: () => Promise<void>): Promise<void> {
    if (this.#running >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#throwFailure();
    this.#running++;
    const before = this.#last.get(key);
    const mine = this.#run(before, job).finally(() => {
      if (this.#last.get(key) === mine) this.#last.delete(key);
      this.#running--;
      this.#waiting.shift()?.();
    });
    this.#last.set(key, mine);
  }

  /** Resolves when all jobs given are done; rejects when one has failed. */
  async drain(): Promise<void> {
    await Promise.all(this.#last.values());
    this.#throwFailure();
  }

  async #run(before: Promise<void> | undefined, job: () => Promise<void>): Promise<void> {
    await before;
    if (this.#failure) return;
    try {
      await job();
    } catch (reason) {
      this.#failure ??= { reason };
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.reason;
  }
}
