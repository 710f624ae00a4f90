/**
 * A set of queue offsets that lie near each other, a bit each in pages of 4096: a set of a million offsets in a row takes
 * 128 KiB. What lies below a moving start is dropped by pages.
 */
import type { QueueOffset } from '../../base/flavours.js';

const PAGE_OFFSETS = 4096;
const WORD_BITS = 32;

export class OffsetSet {
  readonly #pages = new Map<number, Uint32Array>();

  add(offset: QueueOffset): void {
    const number = Math.floor(offset / PAGE_OFFSETS);
    let page = this.#pages.get(number);
    if (!page) {
      page = new Uint32Array(PAGE_OFFSETS / WORD_BITS);
      this.#pages.set(number, page);
    }
    const at = offset % PAGE_OFFSETS;
    page[at >>> 5] = (page[at >>> 5] ?? 0) | (1 << (at & 31));
  }

  has(offset: QueueOffset): boolean {
    const page = this.#pages.get(Math.floor(offset / PAGE_OFFSETS));
    if (!page) return false;
    const at = offset % PAGE_OFFSETS;
    return ((page[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
  }

  /** Drops whole pages below the offset; others of the page stay. */
  dropBelow(offset: QueueOffset): void {
    const first = Math.floor(offset / PAGE_OFFSETS);
    for (const number of this.#pages.keys()) if (number < first) this.#pages.delete(number);
  }

  /** Pages held, for tests of its bound. */
  get pageCount(): number {
    return this.#pages.size;
  }
}
