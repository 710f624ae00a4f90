/**
 * An entry of a consume queue (upstream: `ConsumeQueue`), where one message of the queue lies in the commit log:
 *
 *     entry, 20 bytes       number of the entry = queue offset
 *     commitLogOffset  8
 *     sizeBytes        4
 *     tagsCode         8    hash of the tag, or the due time of a delayed message
 *
 * Entries in front of the queue's first message, when its beginning is lost, are blank: offset 0, size 2147483647,
 * tagsCode 0.
 */
import { readInt64Loose, writeInt64 } from '../../base/bytes.js';
import type { CommitLogOffset } from '../../base/flavours.js';

export const QUEUE_ENTRY_BYTES = 20;
export const BLANK_ENTRY_SIZE = 0x7fffffff;
const SIZE_AT = 8;
export const TAGS_CODE_AT = 12;

export interface QueueEntry {
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
  tagsCode: number;
}

/** Is the entry's record not in the log any more? What no record can have is damage and says nothing about that. */
export function isGone({ commitLogOffset, sizeBytes }: QueueEntry, minCommitLogOffset: CommitLogOffset): boolean {
  if (sizeBytes === BLANK_ENTRY_SIZE) return true;
  return commitLogOffset >= 0 && sizeBytes > 0 && commitLogOffset < minCommitLogOffset;
}

/** Tags codes are ints, or times: everything lower is an address in the queue's extension (upstream: `ConsumeQueueExt`). */
export function isExtAddress(tagsCode: number): boolean {
  return tagsCode < -0x8000_0000;
}

export function encodeEntry(target: Buffer, at: number, { commitLogOffset, sizeBytes, tagsCode }: QueueEntry): void {
  writeInt64(target, commitLogOffset, at);
  target.writeInt32BE(sizeBytes, at + SIZE_AT);
  writeInt64(target, tagsCode, at + TAGS_CODE_AT);
}

export function decodeEntry(source: Buffer, at: number): QueueEntry {
  return {
    commitLogOffset: readInt64Loose(source, at),
    sizeBytes: source.readInt32BE(at + SIZE_AT),
    tagsCode: readInt64Loose(source, at + TAGS_CODE_AT),
  };
}
