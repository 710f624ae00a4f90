/**
 * The extension of a consume queue, which a RocketMQ broker writes with enableConsumeQueueExt (upstream:
 * `ConsumeQueueExt`). The tagsCode of the queue's entries is then an address here: the number of the first byte of the
 * unit, plus the smallest 64-bit integer. foldlog reads it and never writes it.
 *
 *     unit, from 20 bytes
 *     size           2    20 + the bitmap's
 *     tagsCode       8
 *     storeTime      8
 *     bitmapLength   2    then the bitmap: which consumers' filters it passes
 *
 * Files lie in `consumequeue_ext/<topic>/<queueId>/`, named after their first byte, of any size.
 */
import { readInt64Loose } from '../../base/bytes.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { FileHandles } from '../log/fileHandles.js';

const UNIT_MIN_BYTES = 20;
const TAGS_CODE_AT = 2;
const BITMAP_LENGTH_AT = 18;

export class QueueExt {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #directory: string;
  /** First bytes of the files, descending; listed when first asked for. */
  #starts: { start: number; path: string }[] | undefined;
  readonly #unit = Buffer.alloc(UNIT_MIN_BYTES);

  constructor(parts: { files: Files; handles: FileHandles; directory: string }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#directory = parts.directory;
  }

  /** The tagsCode that the address at this place of a queue entry leads to; undefined when its unit is missing. */
  tagsCodeAt(entry: Buffer, at: number): number | undefined {
    const position = (entry.readUInt32BE(at) & 0x7fff_ffff) * 0x1_0000_0000 + entry.readUInt32BE(at + 4);
    this.#starts ??= this.#list();
    const file = this.#starts.find(({ start }) => start <= position);
    if (!file) return undefined;
    const unit = this.#unit;
    const length = this.#handles.use(file.path).read(unit, 0, UNIT_MIN_BYTES, position - file.start);
    if (length < UNIT_MIN_BYTES) return undefined;
    const isUnit = unit.readInt16BE(0) === UNIT_MIN_BYTES + unit.readInt16BE(BITMAP_LENGTH_AT);
    return isUnit ? readInt64Loose(unit, TAGS_CODE_AT) : undefined;
  }

  #list(): { start: number; path: string }[] {
    return this.#files
      .list(this.#directory)
      .filter((name) => /^\d{20}$/.test(name))
      .map((name) => ({ start: Number(name), path: joinPath(this.#directory, name) }))
      .sort((one, other) => other.start - one.start);
  }
}
