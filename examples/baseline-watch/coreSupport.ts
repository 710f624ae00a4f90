/** Which core browsers support a feature as written down, folded from its stream event by event. */
import { type Browser, CORE_BROWSERS } from './browsers.js';
import { isPlain, SupportAdded, SupportRemoved } from './events.js';

/** Small, for there are many: a short list instead of a map. */
export class CoreSupport {
  /** Version of the stream that this fold has reached. */
  version = 0;
  /** Statements that hold, by browser. */
  readonly #open = new Array<number>(CORE_BROWSERS.length).fill(0);

  apply(event: object, version: number): void {
    this.version = version;
    if (event instanceof SupportAdded && isPlain(event)) this.#change(event.browser, 1);
    else if (event instanceof SupportRemoved && isPlain(event)) this.#change(event.browser, -1);
  }

  get isComplete(): boolean {
    return this.#open.every((count) => count > 0);
  }

  #change(browser: Browser, by: number): void {
    const index = CORE_BROWSERS.indexOf(browser);
    this.#open[index] = (this.#open[index] ?? 0) + by;
  }
}
