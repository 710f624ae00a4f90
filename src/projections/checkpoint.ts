/**
 * How far a projection has come on one queue, and the contract of keeping it: in the database of the projection's
 * state, moved by compare-and-set inside the transaction that writes the state. So each event counts exactly once, and
 * an instance that lost its queue cannot write. Two kinds keep it: `sqliteCheckpoints.ts`, `postgresCheckpoints.ts`.
 *
 * The last record tells whether the log that is consumed is still the one that was consumed: a log that lost its end
 * and grew again has another there.
 */
import { FoldlogError } from '../base/errors.js';
import type { CommitLogOffset, QueueOffset } from '../base/flavours.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { MessageQueue } from '../protocol/message.js';

export interface Checkpoint {
  /** Of the queue's next event to apply. */
  nextOffset: QueueOffset;
  /** Of the log that the last event was read from. */
  generation: number;
  /** Place and id of the last record passed; undefined at the start of a queue. */
  commitLogOffset: CommitLogOffset | undefined;
  msgId: string | undefined;
}

/** A row of `foldlog_checkpoints`, its columns named as here. */
export type CheckpointRow = {
  nextOffset: number;
  generation: number;
  commitLogOffset: number | null;
  msgId: string | null;
};

export interface Move {
  queue: MessageQueue;
  /** What must be committed now; undefined: nothing. */
  from: Checkpoint | undefined;
  to: Checkpoint;
}

/** The progress of one projection. */
export interface ProjectionCheckpoints {
  /** Makes foldlog's tables, and the projection's own once, however many instances start together. */
  prepare(now: number): Promise<void>;
  /** What is committed; undefined before the first event of the queue. */
  load(queue: MessageQueue): Checkpoint | undefined | Promise<Checkpoint | undefined>;
  /**
   * One transaction: moves the checkpoint, then writes the state. The checkpoint comes first, so that an instance that
   * lost its queue stops, with {@link CheckpointMoved}, before it runs a handler. `write` may be called again when the
   * transaction was undone in favour of another.
   */
  advance(move: Move, write: (database: AppDatabase) => void | Promise<void>): Promise<void>;
}

export function checkpointOf(row: CheckpointRow | undefined): Checkpoint | undefined {
  return row && { ...row, commitLogOffset: row.commitLogOffset ?? undefined, msgId: row.msgId ?? undefined };
}

/** Another instance applied these events: read the checkpoint again and go on from there. */
export class CheckpointMoved extends FoldlogError {
  constructor({ topic, brokerName, queueId }: MessageQueue, expected: QueueOffset) {
    super(
      'CONDITION_FAILED',
      `another instance moved the checkpoint of queue ${queueId} of ${topic} on ${brokerName} from ${expected}`,
      { topic, brokerName, queueId, expected, retriable: true },
    );
  }
}
