/**
 * The log of ended transactions: messages of RMQ_SYS_TRANS_OP_HALF_TOPIC, queue 0, tag `d`, each with the half queue
 * offsets of transactions that were committed or rolled back.
 *
 *     body = { offset in decimal "," }          for instance `0,1,`; brokers before 5.0 wrote one offset without a comma
 *
 * Commits wait for each other: an op message is written when the text is longer than `transactionOpMsgMaxSize` or
 * `transactionOpBatchInterval` after the first. A commit that a crash keeps out of this log is still found by its
 * committed message; a rollback leaves no other trace, so its op message is written at once, with all that wait, and is
 * in the log before the rollback is answered. Upstream: `TransactionalOpBatchService`, `TransactionalMessageBridge`.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/errors.js';
import type { QueueOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TRANS_OP_HALF_TOPIC } from '../../protocol/names.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { AppendOutcome, MessageToStore, VisibleOutcome } from '../../store/storeTypes.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import { type IntakeRefusal, refusedWhenUnavailable } from '../messageIntake.js';
import { joinProperties } from '../propertiesText.js';
import { TRANSACTION_QUEUE_ID } from './halfMessages.js';

const REMOVE_TAG = 'd';
/** Offsets that wait while the store takes nothing; the oldest go first: their messages are committed and tell it, too. */
const PENDING_MAX = 100_000;
const READ_COUNT = 32;
const READ_BYTES = 1024 * 1024;

export const encodeOps = (halfOffsets: readonly QueueOffset[]): Buffer =>
  Buffer.from(halfOffsets.map((offset) => `${offset},`).join(''));

/** Reads both forms; what is no offset is left out. */
export function decodeOps(body: Buffer): QueueOffset[] {
  return body
    .toString('latin1')
    .split(',')
    .filter((part) => /^\d{1,16}$/.test(part))
    .map(Number)
    .filter((offset) => Number.isSafeInteger(offset));
}

export interface OpMessage {
  opOffset: QueueOffset;
  halfOffsets: QueueOffset[];
}

/** The op messages from an offset up to the visible end, some at a time. */
export function* readOps(store: Pick<MessageStore, 'readQueue'>, from: QueueOffset): Generator<OpMessage[]> {
  for (let at = from; ; ) {
    const read = store.readQueue(TRANS_OP_HALF_TOPIC, TRANSACTION_QUEUE_ID, at, READ_COUNT, READ_BYTES);
    if (read.records.length === 0 && read.nextBeginOffset <= at) return;
    yield read.records.map((record) => {
      const { queueOffset, properties, body } = decodeRecord(record, 0, { verifyCrc: false });
      const isRemoval = properties[PROPERTY.TAGS] === REMOVE_TAG;
      return { opOffset: queueOffset, halfOffsets: isRemoval ? decodeOps(body) : [] };
    });
    at = read.nextBeginOffset;
  }
}

/** What became of an op message that somebody waits for. */
export type OpOutcome = { status: 'PUT_OK'; visible: VisibleOutcome } | IntakeRefusal;

export interface OpMessagesParts {
  store: Pick<MessageStore, 'append'>;
  identity: Pick<BrokerIdentity, 'storeHost'>;
  clock: Clock;
  logger: Logger;
  /** Length of the text, in characters, over which it is written. */
  maxSizeChars: number;
  batchIntervalMillis: number;
  /** The op message stands in the log; called in the order of their offsets. */
  onWritten: (opOffset: QueueOffset, halfOffsets: readonly QueueOffset[]) => void;
}

export class OpMessages {
  readonly #parts: OpMessagesParts;
  /** Ended, not written yet. */
  #pending: QueueOffset[] = [];
  #pendingChars = 0;
  /** Rollbacks of this turn. */
  #urgent: QueueOffset[] = [];
  #urgentOutcome: Promise<OpOutcome> | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(parts: OpMessagesParts) {
    this.#parts = parts;
  }

  /** A committed transaction: written with others, soon. */
  add(halfOffset: QueueOffset): void {
    this.#push([halfOffset]);
    if (this.#pendingChars > this.#parts.maxSizeChars) void this.#write([]);
    else this.#arm();
  }

  /** Transactions that are over only when this is in the log. Those of one turn share a message. */
  addNow(halfOffsets: readonly QueueOffset[]): Promise<OpOutcome> {
    this.#urgent.push(...halfOffsets);
    this.#urgentOutcome ??= Promise.resolve().then(() => {
      const urgent = this.#urgent;
      this.#urgent = [];
      this.#urgentOutcome = undefined;
      return this.#write(urgent);
    });
    return this.#urgentOutcome;
  }

  /** Writes what waits; afterwards no timer runs. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#urgentOutcome;
    if (this.#pending.length > 0) await this.#write([]);
  }

  /** Op messages with all that wait and `urgent`. The former are kept when that fails. */
  async #write(urgent: readonly QueueOffset[]): Promise<OpOutcome> {
    const { store, logger, onWritten, maxSizeChars } = this.#parts;
    const waiting = this.#pending;
    this.#pending = [];
    this.#pendingChars = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    let outcome: OpOutcome = { status: 'PUT_OK', visible: 'VISIBLE' };
    const parts = partsOf([...waiting, ...urgent], maxSizeChars).map((halfOffsets) => ({
      halfOffsets,
      // All in one turn: what a full disk takes, it takes from all of them.
      appended: refusedWhenUnavailable(() => store.append([this.#messageOf(halfOffsets)])),
    }));
    const failed: QueueOffset[] = [];
    for (const { halfOffsets, appended } of parts) {
      const written = await this.#written(appended);
      if (written.status === 'REFUSED') {
        failed.push(...halfOffsets);
        outcome = written;
      } else {
        onWritten(written.opOffset, halfOffsets);
        if (outcome.status === 'PUT_OK' && written.visible !== 'VISIBLE') outcome = written;
      }
    }
    if (outcome.status === 'REFUSED') {
      logger.warn({ reason: outcome.remark, waiting: failed.length }, 'ended transactions cannot be noted for now');
      const isUrgent = new Set(urgent);
      this.#push(failed.filter((offset) => !isUrgent.has(offset)));
      if (this.#pending.length > 0) this.#arm();
    }
    return outcome;
  }

  async #written(
    outcome: AppendOutcome,
  ): Promise<{ status: 'PUT_OK'; visible: VisibleOutcome; opOffset: QueueOffset } | IntakeRefusal> {
    if (outcome.status !== 'PUT_OK') return refused(outcome.reason);
    try {
      const visible = await outcome.turn.visible;
      return { status: 'PUT_OK', visible, opOffset: outcome.places[0]?.queueOffset ?? 0 };
    } catch (thrown) {
      return refused(messageOf(thrown));
    }
  }

  #push(offsets: readonly QueueOffset[]): void {
    for (const offset of offsets) {
      this.#pending.push(offset);
      this.#pendingChars += String(offset).length + 1;
    }
    if (this.#pending.length <= PENDING_MAX) return;
    const dropped = this.#pending.splice(0, this.#pending.length - PENDING_MAX);
    for (const offset of dropped) this.#pendingChars -= String(offset).length + 1;
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#parts.clock.after(this.#parts.batchIntervalMillis, () => {
      this.#timer = undefined;
      void this.#write([]);
    });
  }

  #messageOf(halfOffsets: readonly QueueOffset[]): MessageToStore {
    const { clock, identity } = this.#parts;
    const properties = { [PROPERTY.WAIT]: 'true', [PROPERTY.TAGS]: REMOVE_TAG };
    return {
      topic: TRANS_OP_HALF_TOPIC,
      queueId: TRANSACTION_QUEUE_ID,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: clock.now(),
      bornHost: identity.storeHost,
      storeHost: identity.storeHost,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: encodeOps(halfOffsets),
      properties,
      propertiesText: joinProperties(properties),
    };
  }
}

const refused = (remark: string): IntakeRefusal => ({
  status: 'REFUSED',
  code: RESPONSE_CODE.SERVICE_NOT_AVAILABLE,
  remark,
});

/** Each part as long as one op message may be: it ends with the offset that goes over the limit. */
function partsOf(halfOffsets: readonly QueueOffset[], maxSizeChars: number): QueueOffset[][] {
  const parts: QueueOffset[][] = [];
  let sizeChars = 0;
  for (const offset of halfOffsets) {
    const part = parts.at(-1);
    if (!part || sizeChars > maxSizeChars) {
      parts.push([offset]);
      sizeChars = 0;
    } else part.push(offset);
    sizeChars += String(offset).length + 1;
  }
  return parts;
}
