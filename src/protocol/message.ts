/** Messages as values: what a producer gives, and what a record in the log says. */
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../base/flavours.js';
import type { MessageProperties } from './messageProperties.js';

/** An address as records hold it: 4 or 16 address bytes and a port. */
export interface HostAddress {
  /** `127.0.0.1` or `fd00::1`. */
  host: string;
  port: number;
}

/** One queue of a topic on one broker. */
export interface MessageQueue {
  topic: string;
  brokerName: string;
  queueId: number;
}

/** A record of the commit log, decoded. `properties` are parsed; `body` is as stored (compressed stays compressed). */
export interface StoredMessage {
  topic: string;
  queueId: number;
  queueOffset: QueueOffset;
  commitLogOffset: CommitLogOffset;
  /** Size of the whole record in bytes. */
  sizeBytes: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: TimestampMillis;
  bornHost: HostAddress;
  storeTimestamp: TimestampMillis;
  storeHost: HostAddress;
  reconsumeTimes: number;
  /** Commit-log offset of the half message of a committed transaction, else 0. */
  preparedTransactionOffset: CommitLogOffset;
  bodyCrc: number;
  body: Buffer;
  properties: MessageProperties;
}

/** Bits of the sysFlag field. Upstream: `MessageSysFlag`. */
export const SYS_FLAG = {
  COMPRESSED: 0x1,
  MULTI_TAGS: 0x2,
  TRANSACTION_MASK: 0xc,
  TRANSACTION_PREPARED: 0x4,
  TRANSACTION_COMMIT: 0x8,
  TRANSACTION_ROLLBACK: 0xc,
  BORN_HOST_V6: 0x10,
  STORE_HOST_V6: 0x20,
  NEED_UNWRAP: 0x40,
  INNER_BATCH: 0x80,
  COMPRESSION_MASK: 0x700,
  COMPRESSION_LZ4: 0x100,
  COMPRESSION_ZSTD: 0x200,
  COMPRESSION_ZLIB: 0x300,
} as const;
