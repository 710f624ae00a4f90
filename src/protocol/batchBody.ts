/**
 * The body of SEND_BATCH_MESSAGE: messages of one topic and queue, back to back. Upstream:
 * `MessageDecoder.encodeMessages`, `decodeMessages`.
 *
 *     totalSize          4      of this message, this field included
 *     magicCode          4      0
 *     bodyCRC            4      0
 *     flag               4
 *     bodyLength, body   4 + n
 *     propertiesLength   2 + n  text form of messageProperties.ts
 */
import { FoldlogError } from '../base/errors.js';
import { ByteReader } from './byteReader.js';
import { PROPERTIES_MAX_BYTES } from './messageProperties.js';

export interface BatchMessage {
  flag: number;
  body: Buffer;
  propertiesText: string;
}

const FIXED_BYTES = 4 + 4 + 4 + 4 + 4 + 2;

export function encodeBatchBody(messages: readonly BatchMessage[]): Buffer {
  const sizes = messages.map(({ body, propertiesText }) => {
    const propertiesBytes = Buffer.byteLength(propertiesText);
    if (propertiesBytes > PROPERTIES_MAX_BYTES) {
      throw new FoldlogError(
        'OPTIONS_INVALID',
        `a message of the batch has ${propertiesBytes} bytes of properties, at most ${PROPERTIES_MAX_BYTES} fit`,
      );
    }
    return FIXED_BYTES + body.length + propertiesBytes;
  });
  const target = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  messages.forEach(({ flag, body, propertiesText }, index) => {
    const size = sizes[index] ?? 0;
    target.writeInt32BE(size, at);
    target.writeInt32BE(flag, at + 12);
    const propertiesAt = target.writeInt32BE(body.length, at + 16) + body.copy(target, at + 20);
    target.writeInt16BE(target.write(propertiesText, propertiesAt + 2), propertiesAt);
    at += size;
  });
  return target;
}

/** Bodies are views into `source`. Throws FRAME_INVALID; a batch of nothing is one too. */
export function decodeBatchBody(source: Buffer): BatchMessage[] {
  const reader = new ByteReader(source, 'batch body');
  const messages: BatchMessage[] = [];
  while (reader.bytesLeft > 0) {
    const start = reader.position;
    const size = reader.int32('total size');
    reader.skip(8, 'magic and CRC');
    const flag = reader.int32('flag');
    const body = reader.bytes(reader.int32('body length'), 'body');
    const propertiesText = reader.text(reader.int16('properties length'), 'properties');
    const found = reader.position - start;
    if (found !== size) throw reader.invalid('total size', `says ${size}, the parts have ${found} bytes`);
    messages.push({ flag, body, propertiesText });
  }
  if (messages.length === 0) throw reader.invalid('batch', 'is empty');
  return messages;
}
