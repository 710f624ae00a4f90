/**
 * How much one read of a queue returns. Records that lie before a place in the log, the cold ones, may have lower limits:
 * they are likely to come from the disk, where each of them may cost a seek, and the reader's turn holds up everybody.
 * Checked for each record, so that a read that begins among the cold ones may end among the others.
 * Upstream: `DefaultMessageStore#isTheBatchFull`, `#checkInMemByCommitOffset`.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import type { ColdLimits } from '../storeTypes.js';

export interface ReadLimits {
  maxCount: number;
  maxBytes: number;
  cold?: ColdLimits | undefined;
}

/** The limits that hold for a record at a place in the log. */
export function limitsAt(
  commitLogOffset: CommitLogOffset,
  limits: ReadLimits,
): Pick<ReadLimits, 'maxCount' | 'maxBytes'> {
  const { cold } = limits;
  return cold && commitLogOffset < cold.before ? cold : limits;
}
