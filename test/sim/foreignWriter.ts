/**
 * Another program on the same directory, as an Apache broker would be: appends records without our marks, leaves its own
 * `abort` or none, or leaves a tail that is no record. It writes bytes by the format alone.
 */
import { encodeProperties } from '../../src/protocol/messageProperties.js';
import { BLANK_MAGIC, encodeRecord, packHost, recordSizeOf } from '../../src/protocol/messageRecord.js';
import type { FaultyFiles } from '../support/faultyFiles.js';
import { DIRECTORY } from './simulatedDisk.js';
import type { ModelRecord } from './storeModel.js';

const HOST = packHost({ host: '10.9.9.9', port: 10911 });

export interface ForeignMessage {
  topic: string;
  queueId: number;
  queueOffset: number;
  body: string;
  keys: string[];
  storeTimestamp: number;
}

const segmentPath = (start: number) => `${DIRECTORY}/commitlog/${String(start).padStart(20, '0')}`;

export class ForeignWriter {
  readonly #files: FaultyFiles;
  readonly #segmentBytes: number;
  end: number;

  constructor(files: FaultyFiles, segmentBytes: number, end: number) {
    this.#files = files;
    this.#segmentBytes = segmentBytes;
    this.end = end;
  }

  append(message: ForeignMessage): ModelRecord {
    const { topic, queueId, queueOffset, keys, storeTimestamp } = message;
    const properties = encodeProperties({ KEYS: keys.join(' ') });
    const body = Buffer.from(message.body);
    const sizeBytes = recordSizeOf(16, body.length, Buffer.byteLength(topic), Buffer.byteLength(properties));
    this.#makeRoom(sizeBytes);
    const commitLogOffset = this.end;
    const record = Buffer.alloc(sizeBytes);
    encodeRecord(record, 0, {
      topic,
      queueId,
      queueOffset,
      commitLogOffset,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: storeTimestamp,
      bornHost: HOST,
      storeTimestamp,
      storeHost: HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body,
      properties,
    });
    this.write(record);
    return {
      ...{ commitLogOffset, sizeBytes, topic, queueId, queueOffset, storeTimestamp, body: message.body, keys },
      ...{ version: undefined, appendId: undefined, indexInAppend: 0, appendCount: 1 },
      ...{ isWritten: true, isVisible: true, isDeleted: false, light: [], bytes: record },
    };
  }

  /** Any bytes at the end, durably. */
  write(bytes: Buffer): void {
    const start = this.end - (this.end % this.#segmentBytes);
    const file = this.#files.open(segmentPath(start), 'a+');
    const length = Math.min(bytes.length, start + this.#segmentBytes - this.end);
    file.write(bytes, 0, length, this.end - start);
    file.syncNow();
    this.end += length;
  }

  /** Takes everything from the position on away. */
  cut(position: number): void {
    this.end = position;
    const first = position - (position % this.#segmentBytes);
    for (const name of this.#files.list(`${DIRECTORY}/commitlog`)) {
      if (Number(name) > first) this.#files.remove(`${DIRECTORY}/commitlog/${name}`);
      if (Number(name) !== first) continue;
      const file = this.#files.open(segmentPath(first), 'r+');
      file.truncate(position - first);
      file.truncate(this.#segmentBytes);
      file.syncNow();
    }
    this.#files.syncDirectory(`${DIRECTORY}/commitlog`);
  }

  leaveAbort(content: string | undefined): void {
    if (content === undefined) this.#files.remove(`${DIRECTORY}/abort`);
    else this.#files.writeFile(`${DIRECTORY}/abort`, content);
    this.#files.syncDirectory(DIRECTORY);
  }

  #makeRoom(sizeBytes: number): void {
    const used = this.end % this.#segmentBytes;
    const start = this.end - used;
    const exists = this.#files.stat(segmentPath(start)) !== undefined;
    const left = this.#segmentBytes - used;
    if (exists && sizeBytes + 8 <= left) return;
    if (exists) {
      const blank = Buffer.alloc(8);
      blank.writeInt32BE(left, 0);
      blank.writeInt32BE(BLANK_MAGIC, 4);
      this.write(blank);
      this.end = start + this.#segmentBytes;
    }
    const file = this.#files.open(segmentPath(this.end), 'a+');
    file.truncate(this.#segmentBytes);
    file.syncNow();
    this.#files.syncDirectory(`${DIRECTORY}/commitlog`);
  }
}
