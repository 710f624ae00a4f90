/**
 * Pulls that found nothing and wait for a message. A held pull is run again when something arrives in its queue, and
 * at its deadline; it is answered exactly once, or dropped when its peer is gone. Many arrivals of one turn wake a
 * pull once. Count and bytes of held pulls are bounded: over a bound a pull is not held.
 *
 * Differs from RocketMQ (`PullRequestHoldService`): a run that meets only messages which the filter refuses keeps the
 * pull held, from behind them, instead of sending the client round the loop; it is answered within a second or two, so
 * that the consumer's offset moves on. Deadlines are met within a second instead of five.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { QueueOffset } from '../base/flavours.js';
import type { ResponseFields } from '../protocol/remotingCommand.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { Peer } from '../remoting/processor.js';

/** One pull that may wait. */
export interface HeldPull {
  topic: string;
  queueId: number;
  /** The offset that it waits for. */
  offset: QueueOffset;
  timeoutMillis: number;
  /** What it costs to keep, in bytes. */
  sizeBytes: number;
  peer: Peer;
  /** May a message with this tagsCode be for it? */
  mayMatch(tagsCode: number): boolean;
  /** Reads again from the offset, without holding. */
  run(offset: QueueOffset): PullRun;
}

export interface PullRun {
  /** `nothing`: no message at the offset. `passed`: there were some, none for this pull. `final`: anything else. */
  outcome: 'nothing' | 'passed' | 'final';
  nextBeginOffset: QueueOffset;
  response(): ResponseFields;
}

interface Waiting {
  readonly pull: HeldPull;
  readonly deadline: number;
  readonly answer: (response: ResponseFields) => void;
  readonly fail: (thrown: unknown) => void;
  forgetPeer: () => void;
  offset: QueueOffset;
  /** When it first passed over messages that are not for it. */
  passedAt: number | undefined;
  isWoken: boolean;
}

type Queue = Set<Waiting>;

/** How often deadlines are looked at; also how long a pull may keep messages passed over to itself. */
export const SCAN_PERIOD_MILLIS = 1000;

export class LongPolling {
  readonly #clock: Clock;
  readonly #maxHeldPulls: number;
  readonly #maxHeldPullBytes: number;
  readonly #topics = new Map<string, Map<number, Queue>>();
  #woken: Queue[] = [];
  #count = 0;
  #bytes = 0;
  #scan: Timer | undefined;
  #isClosed = false;

  constructor(parts: { clock: Clock; maxHeldPulls: number; maxHeldPullBytes: number }) {
    this.#clock = parts.clock;
    this.#maxHeldPulls = parts.maxHeldPulls;
    this.#maxHeldPullBytes = parts.maxHeldPullBytes;
  }

  get heldCount(): number {
    return this.#count;
  }

  /** The answer, later; undefined when the pull cannot be held and must be answered now. */
  hold(pull: HeldPull): Promise<ResponseFields> | undefined {
    if (this.#isClosed || !pull.peer.isOpen) return undefined;
    if (this.#count >= this.#maxHeldPulls || this.#bytes + pull.sizeBytes > this.#maxHeldPullBytes) return undefined;
    return new Promise((answer, fail) => {
      const waiting: Waiting = {
        pull,
        deadline: this.#clock.monotonic() + pull.timeoutMillis,
        answer,
        fail,
        forgetPeer: () => {},
        offset: pull.offset,
        passedAt: undefined,
        isWoken: false,
      };
      this.#add(waiting);
      // The peer gets no answer any more; settling frees the request's place in its lane.
      waiting.forgetPeer = pull.peer.onClose(() => {
        if (this.#remove(waiting)) answer({ code: RESPONSE_CODE.SYSTEM_ERROR, remark: 'connection closed' });
      });
    });
  }

  /** A message became visible. Pulls run at the end of this turn. */
  onArrival(topic: string, queueId: number, tagsCode: number): void {
    const queue = this.#topics.get(topic)?.get(queueId);
    if (!queue) return;
    let isWoken = false;
    for (const waiting of queue) {
      if (waiting.isWoken) isWoken = true;
      else if (waiting.pull.mayMatch(tagsCode)) {
        waiting.isWoken = true;
        isWoken = true;
      }
    }
    if (isWoken) this.#runSoon(queue);
  }

  /** Runs every pull of a queue again, whatever it waits for. */
  wake(topic: string, queueId: number): void {
    const queue = this.#topics.get(topic)?.get(queueId);
    if (!queue) return;
    for (const waiting of queue) waiting.isWoken = true;
    this.#runSoon(queue);
  }

  /** Answers everything that is held; nothing is held from now on. */
  close(): void {
    this.#isClosed = true;
    for (const waiting of this.#all()) this.#finish(waiting, this.#run(waiting));
    this.#stopScan();
  }

  #runSoon(queue: Queue): void {
    if (this.#woken.includes(queue)) return;
    this.#woken.push(queue);
    if (this.#woken.length === 1) queueMicrotask(() => this.#runWoken());
  }

  #runWoken(): void {
    const woken = this.#woken;
    this.#woken = [];
    for (const queue of woken) {
      for (const waiting of [...queue]) {
        if (!waiting.isWoken) continue;
        waiting.isWoken = false;
        this.#runAgain(waiting);
      }
    }
  }

  #runAgain(waiting: Waiting): void {
    const run = this.#run(waiting);
    if (!run) return;
    if (run.outcome === 'final') this.#finish(waiting, run);
    else if (run.outcome === 'passed') {
      waiting.offset = run.nextBeginOffset;
      waiting.passedAt ??= this.#clock.monotonic();
    }
  }

  /** Undefined when the run threw: the pull was answered with the error. */
  #run(waiting: Waiting): PullRun | undefined {
    try {
      return waiting.pull.run(waiting.offset);
    } catch (thrown) {
      this.#remove(waiting);
      waiting.fail(thrown);
      return undefined;
    }
  }

  #finish(waiting: Waiting, run: PullRun | undefined): void {
    if (!run || !this.#remove(waiting)) return;
    try {
      waiting.answer(run.response());
    } catch (thrown) {
      waiting.fail(thrown);
    }
  }

  #scanDeadlines(): void {
    const now = this.#clock.monotonic();
    for (const waiting of this.#all()) {
      const isOverdue = now >= waiting.deadline;
      const hasPassed = waiting.passedAt !== undefined && now - waiting.passedAt >= SCAN_PERIOD_MILLIS;
      if (isOverdue || hasPassed) this.#finish(waiting, this.#run(waiting));
    }
  }

  #add(waiting: Waiting): void {
    const { topic, queueId, sizeBytes } = waiting.pull;
    let queues = this.#topics.get(topic);
    if (!queues) {
      queues = new Map();
      this.#topics.set(topic, queues);
    }
    let queue = queues.get(queueId);
    if (!queue) {
      queue = new Set();
      queues.set(queueId, queue);
    }
    queue.add(waiting);
    this.#count += 1;
    this.#bytes += sizeBytes;
    this.#scan ??= this.#clock.every(SCAN_PERIOD_MILLIS, () => this.#scanDeadlines());
  }

  #remove(waiting: Waiting): boolean {
    const { topic, queueId, sizeBytes } = waiting.pull;
    const queues = this.#topics.get(topic);
    const queue = queues?.get(queueId);
    if (!queues || !queue?.delete(waiting)) return false;
    waiting.forgetPeer();
    if (queue.size === 0) queues.delete(queueId);
    if (queues.size === 0) this.#topics.delete(topic);
    this.#count -= 1;
    this.#bytes -= sizeBytes;
    if (this.#count === 0) this.#stopScan();
    return true;
  }

  #stopScan(): void {
    this.#scan?.cancel();
    this.#scan = undefined;
  }

  #all(): Waiting[] {
    const all: Waiting[] = [];
    for (const queues of this.#topics.values()) for (const queue of queues.values()) all.push(...queue);
    return all;
  }
}
