/**
 * Ends transactions: a commit stores the message under its real topic, a rollback only notes that the half message is
 * over. Each ends once, whatever is repeated and in whatever order: the first end counts. Upstream:
 * `EndTransactionProcessor`, `TransactionalMessageServiceImpl`.
 *
 * Invariant: the committed message is in the log before its half counts as ended, and both ends are answered when the
 * visible end has passed what they rest on (under SYNC_FLUSH: synced).
 *
 * Differs from RocketMQ: where memory does not tell whether a transaction ended (half messages of an earlier run, and
 * those that were put back), the log is asked (transactionTrace.ts). So a commit that is repeated after a crash stores
 * no second message, and one that comes after a rollback is refused.
 */
import { messageOf } from '../../base/errors.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { TurnPromises } from '../../store/storeTypes.js';
import type { IntakeRefusal, MessageIntake } from '../messageIntake.js';
import { committed, isCopy, realPlaceOf } from './halfMessages.js';
import type { OpMessages } from './opMessages.js';
import type { TransactionProgress } from './transactionProgress.js';
import { traceOf, transactionIdOf } from './transactionTrace.js';

/** Ends that are remembered; older ones are found in the log. */
const REMEMBERED_MAX = 10_000;

export type TransactionEnd = 'COMMITTED' | 'ROLLED_BACK';

/** Where a transaction stands. `open`: offsets of its half message and copies that are not passed yet. */
export type TransactionState =
  | { status: 'OPEN'; open: QueueOffset[]; isLast: boolean }
  /** Was given up after too many checks; may still be committed. */
  | { status: 'GIVEN_UP'; open: QueueOffset[] }
  | { status: 'ENDED'; end: TransactionEnd; open: QueueOffset[] };

export type EndOutcome = { status: 'DONE'; code: number } | IntakeRefusal;

const DONE: EndOutcome = { status: 'DONE', code: RESPONSE_CODE.SUCCESS };
/** In the log, and readable soon: the disk is slow. */
const DONE_LATE: EndOutcome = { status: 'DONE', code: RESPONSE_CODE.FLUSH_DISK_TIMEOUT };

export interface TransactionEndsParts {
  store: Pick<MessageStore, 'readByKeys' | 'visibleEnd'>;
  intake: Pick<MessageIntake, 'putCommitted'>;
  ops: Pick<OpMessages, 'add' | 'addNow'>;
  progress: TransactionProgress;
}

export class TransactionEnds {
  readonly #store: TransactionEndsParts['store'];
  readonly #intake: TransactionEndsParts['intake'];
  readonly #ops: TransactionEndsParts['ops'];
  readonly #progress: TransactionProgress;
  /** The log's end when this run began: what lies before it may have ended without a trace in memory. */
  readonly #startEnd: CommitLogOffset;
  /** Ends that wait for the log, by transaction; bounded by the requests under way. */
  readonly #underWay = new Map<string, Promise<EndOutcome>>();
  readonly #remembered = new Map<string, TransactionEnd>();
  /** Offsets of copies that are not readable yet, by transaction; at most a batch of them. */
  readonly #freshCopies = new Map<string, QueueOffset>();

  constructor({ store, intake, ops, progress }: TransactionEndsParts) {
    this.#store = store;
    this.#intake = intake;
    this.#ops = ops;
    this.#progress = progress;
    this.#startEnd = store.visibleEnd().commitLogOffset;
  }

  /** Resolves when the end of the transaction is in the log. Never rejects. */
  async end(half: StoredMessage, end: TransactionEnd): Promise<EndOutcome> {
    for (let under = this.underWay(half); under; under = this.underWay(half)) await under;
    // Nothing comes in between from the last look at what is under way to the append.
    const state = this.stateOf(half);
    if (state.status === 'ENDED') {
      this.settle(state);
      return state.end === end ? DONE : refusal(RESPONSE_CODE.SYSTEM_ERROR, endedRemark(state.end));
    }
    if (end === 'ROLLED_BACK') return state.open.length === 0 ? DONE : this.#rollBack(half, state.open);
    return this.#commit(half, state.open);
  }

  /** The end of this transaction that waits for the log; undefined when there is none. Never rejects. */
  underWay(half: StoredMessage): Promise<unknown> | undefined {
    return this.#underWay.get(transactionIdOf(half));
  }

  /** As memory and log tell now; an end that is under way does not count. */
  stateOf(half: StoredMessage): TransactionState {
    const { queueOffset, commitLogOffset } = half;
    const progress = this.#progress;
    const remembered = this.#remembered.get(transactionIdOf(half));
    const isPlain =
      remembered === undefined && commitLogOffset >= this.#startEnd && !isCopy(half) && !progress.isPassed(queueOffset);
    const freshCopy = this.#freshCopies.get(transactionIdOf(half));
    const fresh = freshCopy === undefined ? [] : [freshCopy];
    if (isPlain) return { status: 'OPEN', open: [queueOffset, ...fresh], isLast: true };
    const real = realPlaceOf(half);
    const trace = real && traceOf(this.#store, half, real.topic);
    const copies = [...new Set([...(trace?.copies ?? []), queueOffset, ...fresh])].sort((left, right) => left - right);
    const open = copies.filter((offset) => !progress.isPassed(offset));
    if (remembered !== undefined) return { status: 'ENDED', end: remembered, open };
    if (trace?.isCommitted) return { status: 'ENDED', end: 'COMMITTED', open };
    // One op message ends them all: a copy was made of a transaction that ended at the same time.
    if (copies.some((offset) => progress.isEnded(offset))) return { status: 'ENDED', end: 'ROLLED_BACK', open };
    if (trace?.isGivenUp) return { status: 'GIVEN_UP', open };
    // Passed to its last copy without being committed or given up: it was rolled back. Without a key nobody knows.
    if (trace && open.length === 0) return { status: 'ENDED', end: 'ROLLED_BACK', open };
    return { status: 'OPEN', open, isLast: copies.at(-1) === queueOffset };
  }

  /** Notes that the transaction is over for what is left of it in the half queue. */
  settle({ open }: Extract<TransactionState, { status: 'ENDED' }>): void {
    for (const offset of open) {
      this.#progress.end(offset);
      this.#ops.add(offset);
    }
  }

  /**
   * A copy of the half message was appended and is not readable yet: an end that comes before it is covers the copy, too,
   * in the same op message. Until the copy is readable ({@link copyReadable}), or was not written after all.
   */
  copied(half: StoredMessage, copyOffset: QueueOffset, turn: TurnPromises): void {
    const id = transactionIdOf(half);
    this.#freshCopies.set(id, copyOffset);
    turn.visible.catch(() => this.copyReadable(half, copyOffset));
  }

  copyReadable(half: StoredMessage, copyOffset: QueueOffset): void {
    const id = transactionIdOf(half);
    if (this.#freshCopies.get(id) === copyOffset) this.#freshCopies.delete(id);
  }

  #commit(half: StoredMessage, open: readonly QueueOffset[]): EndOutcome | Promise<EndOutcome> {
    const real = realPlaceOf(half);
    if (!real) return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, 'the prepared message does not say where it goes');
    const outcome = this.#intake.putCommitted(committed(half, real));
    if (outcome.status === 'REFUSED') return outcome;
    return this.#track(half, 'COMMITTED', async () => {
      const visible = await outcome.turn.visible;
      for (const offset of open) {
        this.#progress.end(offset);
        this.#ops.add(offset);
      }
      return visible === 'VISIBLE' ? DONE : DONE_LATE;
    });
  }

  #rollBack(half: StoredMessage, open: readonly QueueOffset[]): Promise<EndOutcome> {
    return this.#track(half, 'ROLLED_BACK', async () => {
      const outcome = await this.#ops.addNow(open);
      if (outcome.status === 'REFUSED') return outcome;
      for (const offset of open) this.#progress.end(offset);
      return outcome.visible === 'VISIBLE' ? DONE : DONE_LATE;
    });
  }

  #track(half: StoredMessage, end: TransactionEnd, action: () => Promise<EndOutcome>): Promise<EndOutcome> {
    const id = transactionIdOf(half);
    const outcome = action()
      .catch((thrown: unknown) => refusal(RESPONSE_CODE.SERVICE_NOT_AVAILABLE, messageOf(thrown)))
      .then((settled) => {
        this.#underWay.delete(id);
        if (settled.status === 'DONE') this.#remember(id, end);
        return settled;
      });
    this.#underWay.set(id, outcome);
    return outcome;
  }

  #remember(id: string, end: TransactionEnd): void {
    this.#remembered.set(id, end);
    if (this.#remembered.size <= REMEMBERED_MAX) return;
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest);
      return;
    }
  }
}

const refusal = (code: number, remark: string): IntakeRefusal => ({ status: 'REFUSED', code, remark });

const endedRemark = (end: TransactionEnd): string =>
  end === 'COMMITTED'
    ? 'the transaction was committed already: it cannot be rolled back'
    : 'the transaction was rolled back already: nothing was committed';
