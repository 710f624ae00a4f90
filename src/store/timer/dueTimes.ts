/**
 * Times at which something falls due, each once, the earliest first: a binary heap. At most as many as the wheel has
 * slots. With it nobody has to look at a slot each second to see that it is empty (upstream does).
 */
import type { TimestampMillis } from '../../base/flavours.js';

export class DueTimes {
  #heap: TimestampMillis[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): TimestampMillis | undefined {
    return this.#heap[0];
  }

  /** In no order. */
  all(): readonly TimestampMillis[] {
    return this.#heap;
  }

  /** Replaces all. */
  fill(times: readonly TimestampMillis[]): void {
    // A sorted list is a heap.
    this.#heap = [...times].sort((left, right) => left - right);
  }

  /** The caller knows that the time is not in it yet. */
  add(time: TimestampMillis): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(time);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] ?? 0;
      if (above <= time) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = time;
  }

  /** Takes the earliest out. */
  shift(): TimestampMillis | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const moved = heap.pop();
    if (moved === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && (heap[right] ?? 0) < (heap[left] ?? 0) ? right : left;
      const below = heap[child] ?? 0;
      if (below >= moved) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = moved;
    return first;
  }
}
