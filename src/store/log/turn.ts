/**
 * Everything appended in one turn of the event loop: it is written together, becomes visible together, and its callers
 * share two promises. Nobody has to wait for them: a rejection that nobody awaits is not an unhandled one.
 */
import type { FoldlogError } from '../../base/errors.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { DispatchEntry } from '../queues/consumeQueues.js';
import type { TurnPromises, VisibleOutcome } from '../storeTypes.js';

const nothing = () => {};

export class Turn implements TurnPromises {
  readonly written: Promise<void>;
  readonly visible: Promise<VisibleOutcome>;
  /** What became of its records, for queues and listeners. */
  readonly entries: DispatchEntry[] = [];
  /** Log end after its last record, known when it is written. */
  end: CommitLogOffset = 0;
  /** When the wait for the sync runs out, on the monotonic clock. */
  deadline = 0;
  #resolveWritten: () => void = nothing;
  #resolveVisible: (outcome: VisibleOutcome) => void = nothing;
  #rejectWritten: (error: FoldlogError) => void = nothing;
  #rejectVisible: (error: FoldlogError) => void = nothing;

  constructor() {
    this.written = new Promise((resolve, reject) => {
      this.#resolveWritten = resolve;
      this.#rejectWritten = reject;
    });
    this.visible = new Promise((resolve, reject) => {
      this.#resolveVisible = resolve;
      this.#rejectVisible = reject;
    });
    this.written.catch(nothing);
    this.visible.catch(nothing);
  }

  nowWritten(): void {
    this.#resolveWritten();
  }

  /** Only the first outcome counts: after a timeout the records still become visible, but nobody waits any more. */
  nowVisible(outcome: VisibleOutcome): void {
    this.#resolveVisible(outcome);
  }

  fail(error: FoldlogError): void {
    this.#rejectWritten(error);
    this.#rejectVisible(error);
  }
}

/** For answers that rest on records which are visible already. */
export const SETTLED_TURN: TurnPromises = {
  written: Promise.resolve(),
  visible: Promise.resolve('VISIBLE'),
};
