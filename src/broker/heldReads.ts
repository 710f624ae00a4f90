/**
 * Reads of event topics that found nothing and wait for an event (READ_EVENTS). A held read is run again when something
 * arrives in one of its topics, many arrivals of one turn once, and at its deadline; it is answered exactly once, or
 * dropped when its peer is gone. Count and bytes are bounded as those of held pulls (`longPolling.ts`): over a bound a
 * read is not held but answered at once.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { ResponseFields } from '../protocol/remotingCommand.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { Peer } from '../remoting/processor.js';

/** One read that may wait. */
export interface HeldRead {
  /** What it waits for; undefined: any event topic. */
  topics: readonly string[] | undefined;
  timeoutMillis: number;
  /** What it costs to keep, in bytes. */
  sizeBytes: number;
  peer: Peer;
  /** Reads on: undefined when there is nothing to tell, unless it is the last time. */
  run(isLast: boolean): ResponseFields | undefined;
}

interface Waiting {
  readonly read: HeldRead;
  readonly deadline: number;
  readonly answer: (response: ResponseFields) => void;
  readonly fail: (thrown: unknown) => void;
  forgetPeer: () => void;
}

/** How often deadlines are looked at. */
export const SCAN_PERIOD_MILLIS = 1000;

export class HeldReads {
  readonly #clock: Clock;
  readonly #maxHeldReads: number;
  readonly #maxHeldReadBytes: number;
  readonly #isEventTopic: (topic: string) => boolean;
  readonly #all = new Set<Waiting>();
  /** Those that wait for named topics, and those that wait for any. */
  readonly #byTopic = new Map<string, Set<Waiting>>();
  readonly #ofAny = new Set<Waiting>();
  /** Topics that something arrived in since the last run. */
  readonly #arrived = new Set<string>();
  #bytes = 0;
  #scan: Timer | undefined;
  #isClosed = false;

  constructor(parts: {
    clock: Clock;
    maxHeldReads: number;
    maxHeldReadBytes: number;
    isEventTopic: (topic: string) => boolean;
  }) {
    this.#clock = parts.clock;
    this.#maxHeldReads = parts.maxHeldReads;
    this.#maxHeldReadBytes = parts.maxHeldReadBytes;
    this.#isEventTopic = parts.isEventTopic;
  }

  get heldCount(): number {
    return this.#all.size;
  }

  /** The answer, later; undefined when the read cannot be held and must be answered now. */
  hold(read: HeldRead): Promise<ResponseFields> | undefined {
    if (this.#isClosed || !read.peer.isOpen) return undefined;
    if (this.#all.size >= this.#maxHeldReads || this.#bytes + read.sizeBytes > this.#maxHeldReadBytes) return undefined;
    return new Promise((answer, fail) => {
      const deadline = this.#clock.monotonic() + read.timeoutMillis;
      const waiting: Waiting = { read, deadline, answer, fail, forgetPeer: () => {} };
      this.#add(waiting);
      // The peer gets no answer any more; settling frees the request's place in its lane.
      waiting.forgetPeer = read.peer.onClose(() => {
        if (this.#remove(waiting)) answer({ code: RESPONSE_CODE.SYSTEM_ERROR, remark: 'connection closed' });
      });
    });
  }

  /** A message became visible. Reads run at the end of this turn. */
  onArrival(topic: string): void {
    if (this.#all.size === 0 || this.#arrived.has(topic)) return;
    if (!this.#byTopic.has(topic) && !(this.#ofAny.size > 0 && this.#isEventTopic(topic))) return;
    this.#arrived.add(topic);
    if (this.#arrived.size === 1) queueMicrotask(() => this.#runArrived());
  }

  /** Answers everything that is held; nothing is held from now on. */
  close(): void {
    this.#isClosed = true;
    for (const waiting of [...this.#all]) this.#run(waiting, true);
    this.#stopScan();
  }

  #runArrived(): void {
    const arrived = [...this.#arrived];
    this.#arrived.clear();
    const woken = new Set<Waiting>();
    for (const topic of arrived) for (const waiting of this.#byTopic.get(topic) ?? []) woken.add(waiting);
    if (arrived.some((topic) => this.#isEventTopic(topic))) for (const waiting of this.#ofAny) woken.add(waiting);
    for (const waiting of woken) this.#run(waiting, false);
  }

  #run(waiting: Waiting, isLast: boolean): void {
    try {
      const response = waiting.read.run(isLast);
      if (response && this.#remove(waiting)) waiting.answer(response);
    } catch (thrown) {
      if (this.#remove(waiting)) waiting.fail(thrown);
    }
  }

  #scanDeadlines(): void {
    const now = this.#clock.monotonic();
    for (const waiting of [...this.#all]) if (now >= waiting.deadline) this.#run(waiting, true);
  }

  #add(waiting: Waiting): void {
    this.#all.add(waiting);
    this.#bytes += waiting.read.sizeBytes;
    for (const set of this.#setsOf(waiting)) set.add(waiting);
    this.#scan ??= this.#clock.every(SCAN_PERIOD_MILLIS, () => this.#scanDeadlines());
  }

  #remove(waiting: Waiting): boolean {
    if (!this.#all.delete(waiting)) return false;
    waiting.forgetPeer();
    this.#bytes -= waiting.read.sizeBytes;
    for (const set of this.#setsOf(waiting)) set.delete(waiting);
    for (const topic of waiting.read.topics ?? [])
      if (this.#byTopic.get(topic)?.size === 0) this.#byTopic.delete(topic);
    if (this.#all.size === 0) this.#stopScan();
    return true;
  }

  #setsOf({ read }: Waiting): Set<Waiting>[] {
    if (!read.topics) return [this.#ofAny];
    return read.topics.map((topic) => {
      let set = this.#byTopic.get(topic);
      if (!set) {
        set = new Set();
        this.#byTopic.set(topic, set);
      }
      return set;
    });
  }

  #stopScan(): void {
    this.#scan?.cancel();
    this.#scan = undefined;
  }
}
