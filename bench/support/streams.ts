/** Streams of events by number: what they are called, and how many events each has. */
import type { MessageStore } from '../../src/store/index.js';
import { appendGuardedAll, EVENTS, eventOf, nextAppendId } from './messages.js';

/** Appends of one filling step. */
const STEP = 10_000;

export class Streams {
  readonly count: number;
  readonly #versions: Uint32Array;

  constructor(count: number) {
    this.count = count;
    this.#versions = new Uint32Array(count);
  }

  /** As random ids are: consecutive numbers written out would collide in Java's string hash more often than ids do. */
  nameOf(stream: number): string {
    return `order-${scrambled(stream, 0x9e3779b1)}${scrambled(stream, 0x85ebca6b)}`;
  }

  /** The version that the next append to it expects; from now on it counts as appended. */
  takeVersion(stream: number): number {
    const version = this.#versions[stream] ?? 0;
    this.#versions[stream] = version + 1;
    return version;
  }

  /** Numbers of streams at random; different ones as far as there are so many (or `among`), then they come again. */
  drawDifferent(total: number, among = this.count): number[] {
    const drawn = new Set<number>();
    while (drawn.size < Math.min(total, among)) drawn.add(Math.floor(Math.random() * this.count));
    const different = [...drawn];
    return Array.from({ length: total }, (_, index) => different[index % different.length] ?? 0);
  }
}

/** Eight hexadecimal digits, different for each number: multiplying by an odd constant loses nothing. */
function scrambled(value: number, odd: number): string {
  return (Math.imul(value + 1, odd) >>> 0).toString(16).padStart(8, '0');
}

/** `eventsEach` events for every stream, round by round. */
export async function fillStreams(store: MessageStore, streams: Streams, body: Buffer, eventsEach = 1): Promise<void> {
  for (let round = 0; round < eventsEach; round += 1) {
    for (let first = 0; first < streams.count; first += STEP) {
      const step = Array.from({ length: Math.min(STEP, streams.count - first) }, (_, index) => first + index);
      const end = store.visibleEnd();
      await appendGuardedAll(store, step, 64, (stream) => {
        const name = streams.nameOf(stream);
        return {
          appendId: nextAppendId(),
          appendIdSince: end,
          events: [eventOf(name, body)],
          expectedVersions: [{ topic: EVENTS, stream: name, expected: streams.takeVersion(stream) }],
        };
      });
    }
  }
}
