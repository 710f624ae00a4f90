/**
 * The life of a part that is started and stopped: created -> starting -> running -> stopping -> stopped, or failed.
 * Forward only. A second start or stop returns the promise under way. A failed start closes what it had opened, last
 * first, and keeps the first error. Whoever opens something registers its close in the next line.
 */
import { LifecycleError } from './errors.js';

export type LifecycleState = 'created' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed';

type Close = () => void | Promise<void>;

/** What was opened, closed in reverse. Every close runs; the first error is thrown at the end. */
export class CloseStack {
  readonly #closes: Close[] = [];

  push(close: Close): void {
    this.#closes.push(close);
  }

  async closeAll(): Promise<void> {
    let first: { error: unknown } | undefined;
    for (let close = this.#closes.pop(); close; close = this.#closes.pop()) {
      try {
        await close();
      } catch (error) {
        first ??= { error };
      }
    }
    if (first) throw first.error;
  }
}

export class Lifecycle {
  readonly #name: string;
  readonly #closes = new CloseStack();
  #state: LifecycleState = 'created';
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  /** @param name how errors call the part, for instance `broker broker-a` */
  constructor(name: string) {
    this.#name = name;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  /** Throws {@link LifecycleError} unless the part is running. */
  assertRunning(): void {
    if (this.#state !== 'running') throw new LifecycleError(`${this.#name} is ${this.#state}, not running`);
  }

  /** Runs `open` once. It registers each close on the stack right after the opening succeeded. */
  start(open: (closes: CloseStack) => Promise<void>): Promise<void> {
    if (this.#starting && (this.#state === 'starting' || this.#state === 'running')) return this.#starting;
    if (this.#state !== 'created')
      return Promise.reject(new LifecycleError(`${this.#name} is ${this.#state} and cannot start again`));
    this.#state = 'starting';
    this.#starting = (async () => {
      try {
        await open(this.#closes);
        this.#state = 'running';
      } catch (error) {
        this.#state = 'failed';
        await this.#closes.closeAll().catch(() => {});
        throw error;
      }
    })();
    return this.#starting;
  }

  /** Closes everything in reverse. Stopping what never started does nothing. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      if (this.#state === 'starting') await this.#starting?.catch(() => {});
      if (this.#state === 'failed') return;
      this.#state = 'stopping';
      try {
        await this.#closes.closeAll();
      } finally {
        this.#state = 'stopped';
      }
    })();
    return this.#stopping;
  }
}
