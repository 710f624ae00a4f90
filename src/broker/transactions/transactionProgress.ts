/**
 * How far the transactions of this broker have come: the lowest half message that is not ended yet, which ones after it
 * have ended, and the first op message that is still needed. On disk this is the progress of the group
 * CID_RMQ_SYS_TRANS in the half queue and the op queue (consumerOffset.json), so that another broker on this directory
 * goes on where this one stopped. Upstream: `TransactionalMessageServiceImpl`, which reads the op queue anew each time.
 *
 * Invariant: a half message below `halfOffset` has ended, was given up, or has a copy further on. Whoever passes one
 * sees to it first, and the recorded progress is saved only after the log is synced (consumerOffsets.ts).
 */
import type { QueueOffset } from '../../base/flavours.js';
import { TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import { TRANSACTION_QUEUE_ID } from './halfMessages.js';
import { OffsetSet } from './offsetSet.js';
import { readOps } from './opMessages.js';

const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS';

/** Op messages whose halves are not all ended yet; over it neighbours count as one. */
const OPEN_OPS_MAX = 100_000;

export interface TransactionProgressParts {
  offsets: Pick<ConsumerOffsets, 'query' | 'commit'>;
  store: Pick<MessageStore, 'queueRange' | 'readQueue'>;
}

export class TransactionProgress {
  readonly #offsets: TransactionProgressParts['offsets'];
  readonly #store: TransactionProgressParts['store'];
  /** Ended ones at or after `#halfOffset`. */
  readonly #ended = new OffsetSet();
  #halfOffset: QueueOffset;
  #opOffset: QueueOffset;
  /** Op messages before `end`, from the one before on, are done when the half queue is passed beyond `last`. */
  #openOps: { end: QueueOffset; last: QueueOffset }[] = [];

  constructor({ offsets, store }: TransactionProgressParts) {
    this.#offsets = offsets;
    this.#store = store;
    const recorded = (topic: string) =>
      offsets.query(TRANSACTION_GROUP, topic, TRANSACTION_QUEUE_ID) ??
      store.queueRange(topic, TRANSACTION_QUEUE_ID).minOffset;
    this.#halfOffset = recorded(TRANS_HALF_TOPIC);
    this.#opOffset = recorded(TRANS_OP_HALF_TOPIC);
  }

  /** Reads the op messages that are still needed; before the first transaction of this run. */
  async load(): Promise<void> {
    const { maxOffset } = this.#store.queueRange(TRANS_HALF_TOPIC, TRANSACTION_QUEUE_ID);
    for (const ops of readOps(this.#store, this.#opOffset)) {
      for (const { opOffset, halfOffsets } of ops) {
        // An offset that the half queue has not given out yet will belong to another message.
        const known = halfOffsets.filter((offset) => offset < maxOffset);
        for (const offset of known) if (offset >= this.#halfOffset) this.#ended.add(offset);
        this.opWritten(opOffset, known);
      }
      // One go after the other: a long op queue does not hold up the start of everything else.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#passEnded();
  }

  /** The lowest half message that has not ended. */
  get halfOffset(): QueueOffset {
    return this.#halfOffset;
  }

  /** Has the half message at the offset ended, or is it behind us? */
  isPassed(halfOffset: QueueOffset): boolean {
    return halfOffset < this.#halfOffset || this.#ended.has(halfOffset);
  }

  /** Is it known to have ended, by an op message or in this run? Below `halfOffset` that is forgotten. */
  isEnded(halfOffset: QueueOffset): boolean {
    return halfOffset >= this.#halfOffset && this.#ended.has(halfOffset);
  }

  /** The transaction of this half message ended. */
  end(halfOffset: QueueOffset): void {
    if (halfOffset < this.#halfOffset) return;
    this.#ended.add(halfOffset);
    this.#passEnded();
  }

  /** Nothing before this offset is needed any more. */
  passTo(halfOffset: QueueOffset): void {
    if (halfOffset <= this.#halfOffset) return;
    this.#halfOffset = halfOffset;
    this.#passEnded();
  }

  /** An op message stands in the log. In the order of their offsets. */
  opWritten(opOffset: QueueOffset, halfOffsets: readonly QueueOffset[]): void {
    const last = halfOffsets.reduce((highest, offset) => Math.max(highest, offset), -1);
    const previous = this.#openOps.at(-1);
    if (previous && (last <= previous.last || this.#openOps.length >= OPEN_OPS_MAX)) {
      previous.end = opOffset + 1;
      previous.last = Math.max(previous.last, last);
    } else {
      this.#openOps.push({ end: opOffset + 1, last });
    }
    this.#passOps();
  }

  /** Notes the progress where it will be saved. */
  record(): void {
    this.#offsets.commit(TRANSACTION_GROUP, TRANS_HALF_TOPIC, TRANSACTION_QUEUE_ID, this.#halfOffset);
    // An op message that is not visible yet is noted at its last reader's place.
    const { maxOffset } = this.#store.queueRange(TRANS_OP_HALF_TOPIC, TRANSACTION_QUEUE_ID);
    const opOffset = Math.min(this.#opOffset, maxOffset);
    this.#offsets.commit(TRANSACTION_GROUP, TRANS_OP_HALF_TOPIC, TRANSACTION_QUEUE_ID, opOffset);
  }

  #passEnded(): void {
    const before = this.#halfOffset;
    while (this.#ended.has(this.#halfOffset)) this.#halfOffset += 1;
    this.#ended.dropBelow(this.#halfOffset);
    if (this.#halfOffset !== before || this.#openOps.length > 0) this.#passOps();
  }

  #passOps(): void {
    let done = 0;
    for (const { end, last } of this.#openOps) {
      if (last >= this.#halfOffset) break;
      this.#opOffset = end;
      done += 1;
    }
    if (done > 0) this.#openOps.splice(0, done);
  }
}
