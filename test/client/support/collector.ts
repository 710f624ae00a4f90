/** Collects what comes in, and lets a test wait until there is enough of it. */
export class Collector<T> {
  readonly items: T[] = [];
  readonly #waiting = new Set<() => void>();

  add(...items: readonly T[]): void {
    this.items.push(...items);
    for (const check of this.#waiting) check();
  }

  /** Resolves when there are `count` items, rejects after the time. */
  async atLeast(count: number, timeoutMillis = 10_000): Promise<T[]> {
    await this.until((items) => items.length >= count, timeoutMillis, `${count} items`);
    return this.items;
  }

  until(isEnough: (items: readonly T[]) => boolean, timeoutMillis = 10_000, what = 'enough'): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!isEnough(this.items)) return;
        this.#waiting.delete(check);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`${what} did not come within ${timeoutMillis} ms; there are: ${JSON.stringify(this.items)}`));
      }, timeoutMillis);
      this.#waiting.add(check);
      check();
    });
  }
}

/** Resolves when the check holds; looks again after each turn of the event loop that has something to do. */
export async function eventually(check: () => boolean | Promise<boolean>, timeoutMillis = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMillis;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`condition did not hold within ${timeoutMillis} ms: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
