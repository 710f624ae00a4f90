/**
 * A command as the bytes of one frame. Upstream: `RemotingCommand.encode` and `decode`, `NettyDecoder`.
 *
 *     offset  field         bytes
 *     0       totalLength   4      of what follows
 *     4       headerWord    4      serialize type << 24 | header length
 *     8       header        h
 *     8 + h   body          rest
 */
import { FoldlogError } from '../base/errors.js';
import { decodeHeader, encodeHeader, encodeJsonHeader, headerTypeOf, writeJsonHeader } from './headerCodec.js';
import type { RemotingCommand } from './remotingCommand.js';

/** The largest frame, length word included, that peers accept (com.rocketmq.remoting.frameMaxLength). */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** Length word and header word. */
const PREFIX_BYTES = 8;
const HEADER_LENGTH_MASK = 0x00ff_ffff;
/** Where headers of usual size are written before the size of their frame is known. */
const scratch = Buffer.allocUnsafeSlow(4096);

/** A body from here on is worth a part of its own. */
const BODY_APART_BYTES = 4096;

/** One buffer with everything. Throws FRAME_INVALID when the frame would be too long for peers. */
export function encodeFrame(command: RemotingCommand): Buffer {
  const { body } = command;
  const frame = encodeHead(command, body.length);
  if (body.length > 0) body.copy(frame, frame.length - body.length);
  return frame;
}

/**
 * The frame as buffers to be sent one after the other: a large body goes out as it is. It must not change any more, and
 * it is copied all the same when it is a small piece of a larger buffer, which a slow reader would keep in memory.
 */
export function encodeFrameParts(command: RemotingCommand): Buffer[] {
  const { body } = command;
  const goesApart = body.length >= BODY_APART_BYTES && body.buffer.byteLength <= 2 * body.length;
  return goesApart ? [encodeHead(command, 0), body] : [encodeFrame(command)];
}

/** Everything before the body, and room for so many bytes of it. */
function encodeHead(command: RemotingCommand, bodyRoom: number): Buffer {
  if (headerTypeOf(command) === 'ROCKETMQ') {
    const header = encodeHeader(command);
    const frame = allocateFrame(command, header.length, bodyRoom);
    frame.writeInt32BE((1 << 24) | header.length, 4);
    header.copy(frame, PREFIX_BYTES);
    return frame;
  }
  const headerEnd = writeJsonHeader(scratch, PREFIX_BYTES, command);
  if (headerEnd > 0) {
    const frame = allocateFrame(command, headerEnd - PREFIX_BYTES, bodyRoom);
    frame.writeInt32BE(headerEnd - PREFIX_BYTES, 4);
    scratch.copy(frame, PREFIX_BYTES, PREFIX_BYTES, headerEnd);
    return frame;
  }
  const header = encodeJsonHeader(command);
  const headerBytes = Buffer.byteLength(header);
  const frame = allocateFrame(command, headerBytes, bodyRoom);
  frame.writeInt32BE(headerBytes, 4);
  frame.write(header, PREFIX_BYTES);
  return frame;
}

function allocateFrame(command: RemotingCommand, headerBytes: number, bodyRoom: number): Buffer {
  const size = PREFIX_BYTES + headerBytes + command.body.length;
  if (size > MAX_FRAME_BYTES) {
    throw new FoldlogError(
      'FRAME_INVALID',
      `a frame of ${size} bytes for code ${command.code} is too long, at most ${MAX_FRAME_BYTES} may be sent`,
      { code: command.code, sizeBytes: size },
    );
  }
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + headerBytes + bodyRoom);
  frame.writeInt32BE(size - 4, 0);
  return frame;
}

/** `frame` is what follows the length word. The body is a view into it. Throws FRAME_INVALID. */
export function decodeFrame(frame: Buffer): RemotingCommand {
  if (frame.length < 4) throw new FoldlogError('FRAME_INVALID', `a frame of ${frame.length} bytes has no header word`);
  const type = frame.readUInt8(0);
  const headerEnd = 4 + (frame.readInt32BE(0) & HEADER_LENGTH_MASK);
  if (type > 1) throw new FoldlogError('FRAME_INVALID', `header type ${type} is neither JSON (0) nor ROCKETMQ (1)`);
  if (headerEnd > frame.length) {
    throw new FoldlogError('FRAME_INVALID', `header of ${headerEnd - 4} bytes in a frame of ${frame.length}`);
  }
  return decodeHeader(frame, type === 1 ? 'ROCKETMQ' : 'JSON', 4, headerEnd, frame.subarray(headerEnd));
}

/** No header of foldlog's own comes near this. */
const HEADER_GUESS_BYTES = 1024 * 1024;

/** Throws FRAME_INVALID when {@link encodeFrame} would; cheap for all but the largest. */
export function assertFrameFits(command: RemotingCommand): void {
  if (command.body.length > MAX_FRAME_BYTES - HEADER_GUESS_BYTES) encodeFrame(command);
}
