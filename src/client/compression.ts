/**
 * Bodies on the wire: compressed with zlib from 4096 bytes on, decompressed on receipt. The broker stores what it gets
 * and never looks inside. LZ4 and ZSTD, which Java producers can be told to use, cannot be read here: such a message
 * is reported by one clear error and goes to the dead letters. Upstream: `CompressionType`, `ZlibCompressor`.
 */
import { deflateSync, inflateSync } from 'node:zlib';
import { FoldlogError } from '../base/errors.js';
import { SYS_FLAG } from '../protocol/message.js';

/** Bodies of at least this many bytes are compressed. Upstream: `compressMsgBodyOverHowmuch`. */
export const COMPRESS_FROM_BYTES = 4096;
const LEVEL = 5;
/** A body that grows beyond this is taken for an attack, not for a message. */
const DECOMPRESSED_MAX_BYTES = 64 * 1024 * 1024;

const UNREADABLE: Readonly<Record<number, string>> = {
  [SYS_FLAG.COMPRESSION_LZ4]: 'LZ4',
  [SYS_FLAG.COMPRESSION_ZSTD]: 'ZSTD',
};

/** The body as it is sent, and the sysFlag bits that say so. Left alone when it is short or does not shrink. */
export function compressBody(body: Buffer): { body: Buffer; sysFlag: number } {
  if (body.length < COMPRESS_FROM_BYTES) return { body, sysFlag: 0 };
  const compressed = deflateSync(body, { level: LEVEL });
  if (compressed.length >= body.length) return { body, sysFlag: 0 };
  return { body: compressed, sysFlag: SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_ZLIB };
}

/** The body as it was before sending. Throws EVENT_INVALID when it cannot be had. */
export function decompressBody(body: Buffer, sysFlag: number): Buffer {
  if ((sysFlag & SYS_FLAG.COMPRESSED) === 0) return body;
  const unreadable = UNREADABLE[sysFlag & SYS_FLAG.COMPRESSION_MASK];
  if (unreadable) {
    throw new FoldlogError(
      'EVENT_INVALID',
      `body is compressed with ${unreadable}, which foldlog cannot read: send it with zlib`,
      { compression: unreadable },
    );
  }
  try {
    return inflateSync(body, { maxOutputLength: DECOMPRESSED_MAX_BYTES });
  } catch (cause) {
    throw new FoldlogError('EVENT_INVALID', `body of ${body.length} bytes does not decompress as zlib`, { cause });
  }
}
