/**
 * What a store says when it had to set right what is derived from the log. After its own crash recovery has made all
 * right before anything is served, and from the marks, not from the whole log.
 */
export const INDEX_BUILT_ANEW = 'the key index did not fit the log and is built anew';
export const QUEUES_REBUILT = 'consume queues were rebuilt from the log';
const RECORD_IS_GONE = 'a queue entry points at no record, and the log has none for it: it is skipped';

export const HEALINGS: readonly string[] = [
  'queue entries did not fit the log and were set right',
  RECORD_IS_GONE,
  'an index file was damaged and was set right',
  'an index file is damaged and the log does not tell what was in it',
  INDEX_BUILT_ANEW,
  QUEUES_REBUILT,
];

/** Where the log loses its front, queues and index follow it a moment later. */
export const RETENTION_LEAVES: readonly string[] = [INDEX_BUILT_ANEW, QUEUES_REBUILT, RECORD_IS_GONE];
