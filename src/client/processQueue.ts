/**
 * The messages of one assigned queue between pull and settlement. Called by the pull loop (`put`), the delivery
 * (`take`, `giveBack`, `settle`) and by whoever commits (`committable`).
 *
 * Invariant I5: the committable offset never passes a message that is not settled, and it only rises. Messages settle
 * in any order; the head moves over what is settled without a gap. Upstream: `ProcessQueue`.
 */
import { assert } from '../base/assert.js';
import type { QueueOffset } from '../base/flavours.js';
import type { ReceivedMessage } from './clientTypes.js';

/** A message in the cache, with what is known of its consumption. */
export interface CachedMessage {
  readonly message: ReceivedMessage;
  isSettled: boolean;
}

/** At which fill pulling pauses. One more batch may come on top, since the fill is checked before a pull. */
export interface ProcessQueueLimits {
  countMax: number;
  sizeBytesMax: number;
  /** Highest minus lowest cached offset; undefined: no bound (ordered consumption). */
  spanMax: number | undefined;
}

export class ProcessQueue {
  readonly #limits: ProcessQueueLimits;
  readonly #onRoom: () => void;
  /** Unsettled messages and settled ones above the lowest unsettled, by rising offset, from `#head` on. */
  #cached: CachedMessage[] = [];
  #head = 0;
  /** Index into `#cached` of the next message to be taken. */
  #next = 0;
  /** Messages that were taken and given back, to be taken before all others. */
  #givenBack: CachedMessage[] = [];
  #unsettled = 0;
  #sizeBytes = 0;
  #committable: QueueOffset;
  /** Everything below was pulled: put here, or not for this consumer. */
  #reached: QueueOffset;

  /** @param start the offset at which consumption begins; @param onRoom called when the fill falls below the limits */
  constructor(start: QueueOffset, limits: ProcessQueueLimits, onRoom: () => void = () => {}) {
    this.#committable = start;
    this.#reached = start;
    this.#limits = limits;
    this.#onRoom = onRoom;
  }

  /** Messages not settled. */
  get count(): number {
    return this.#unsettled;
  }

  /** Body bytes of the messages not settled. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The lowest unsettled offset; when nothing is cached, the offset after the last message that was. */
  get committable(): QueueOffset {
    return this.#committable;
  }

  get span(): number {
    const first = this.#cached[this.#head];
    const last = this.#cached.at(-1);
    return first && last ? last.message.queueOffset - first.message.queueOffset : 0;
  }

  /** Lowest and highest cached offset; undefined when nothing is cached. */
  get bounds(): { min: QueueOffset; max: QueueOffset } | undefined {
    const first = this.#cached[this.#head];
    const last = this.#cached.at(-1);
    return first && last && { min: first.message.queueOffset, max: last.message.queueOffset };
  }

  get isFull(): boolean {
    const { countMax, sizeBytesMax, spanMax } = this.#limits;
    if (this.#unsettled > countMax || this.#sizeBytes > sizeBytesMax) return true;
    return spanMax !== undefined && this.span > spanMax;
  }

  /** Is there a message to take? */
  get hasNext(): boolean {
    return this.#givenBack.length > 0 || this.#next < this.#cached.length;
  }

  /** Adds what was pulled: offsets rise, and lie above all that was put before. */
  put(messages: readonly ReceivedMessage[]): void {
    let last = this.#cached.at(-1)?.message.queueOffset ?? this.#committable - 1;
    for (const message of messages) {
      assert(message.queueOffset > last, 'pulled messages have rising offsets above those cached');
      last = message.queueOffset;
      this.#cached.push({ message, isSettled: false });
      this.#unsettled += 1;
      this.#sizeBytes += message.body.length;
    }
  }

  /** The next messages for the listener, in order, those given back first. They stay cached until settled. */
  take(countMax: number): CachedMessage[] {
    if (this.#givenBack.length > 0) return this.#givenBack.splice(0, countMax);
    const taken = this.#cached.slice(this.#next, this.#next + countMax);
    this.#next += taken.length;
    return taken;
  }

  /** Puts back what was taken: the next `take` gives the same messages again, lowest offset first. */
  giveBack(entries: readonly CachedMessage[]): void {
    assert(
      entries.every((entry) => !entry.isSettled),
      'only unsettled messages are given back',
    );
    this.#givenBack.push(...entries);
    this.#givenBack.sort((left, right) => left.message.queueOffset - right.message.queueOffset);
  }

  /** Marks as done. Settling twice is harmless. */
  settle(entries: readonly CachedMessage[]): void {
    const wasFull = this.isFull;
    for (const entry of entries) {
      if (entry.isSettled) continue;
      entry.isSettled = true;
      this.#unsettled -= 1;
      this.#sizeBytes -= entry.message.body.length;
    }
    for (let first = this.#cached[this.#head]; first?.isSettled; first = this.#cached[this.#head]) {
      this.#committable = first.message.queueOffset + 1;
      this.#head += 1;
    }
    this.#moveCommittable();
    this.#dropPassed();
    if (wasFull && !this.isFull) this.#onRoom();
  }

  /** Everything below `offset` was pulled and put, or is not for this consumer. Called after `put`. */
  reach(offset: QueueOffset): void {
    if (offset <= this.#reached) return;
    this.#reached = offset;
    this.#moveCommittable();
  }

  #moveCommittable(): void {
    const lowest = this.#cached[this.#head];
    const candidate = lowest ? lowest.message.queueOffset : this.#reached;
    if (candidate > this.#committable) this.#committable = candidate;
  }

  /** Forgets passed entries now and then, so that a long life costs no memory and no shift per message. */
  #dropPassed(): void {
    if (this.#head < this.#cached.length && this.#head < 1024) return;
    this.#cached.splice(0, this.#head);
    this.#next -= this.#head;
    this.#head = 0;
  }
}
