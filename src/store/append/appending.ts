/**
 * The one synchronous section in which records come into being: place, queue offset, store time, bytes, index entries
 * and what dispatch will need, all final when it returns. Nothing can come in between, so there are no locks.
 * Whatever can fail (a new segment, a new index file) is done before the first byte is encoded.
 */
import type { Clock } from '../../base/clock.js';
import type { RecordFields } from '../../protocol/messageRecord.js';
import type { IndexHash } from '../keys/indexHash.js';
import type { KeyIndex } from '../keys/keyIndex.js';
import type { CommitLog } from '../log/commitLog.js';
import type { Flush } from '../log/flush.js';
import { isNoRoom, type Writability } from '../log/writability.js';
import { entryTagsCode, isQueued } from '../queues/dispatch.js';
import { LIGHT_QUEUE_ID } from '../queues/multiDispatch.js';
import type { QueueOffsets } from '../queues/queueOffsets.js';
import type { AppendOutcome, AppendRefusal, MessageToStore, StoredPlace } from '../storeTypes.js';
import { LightPlaces, type PlacedMessages } from './lightPlaces.js';
import { batchRefusal, lightRefusal, type RecordLimits, segmentRefusal, sizeOrRefusal } from './recordLimits.js';

export class Appending {
  readonly #commitLog: CommitLog;
  readonly #queueOffsets: QueueOffsets;
  readonly #keyIndex: KeyIndex;
  readonly #hash: IndexHash;
  readonly #flush: Flush;
  readonly #writability: Writability;
  readonly #clock: Clock;
  readonly #storeHost: Buffer;
  readonly #delayLevels: readonly number[];
  readonly #limits: RecordLimits;
  readonly #lightPlaces: LightPlaces;
  /** Hashes of the keys under way, and how many of them belong to the records up to each. Kept to save allocations. */
  readonly #hashes: number[] = [];
  readonly #hashEnds: number[] = [];
  #hashCount = 0;
  readonly #takeHash = (hash: number) => {
    this.#hashes[this.#hashCount] = hash;
    this.#hashCount += 1;
  };
  readonly #fields: RecordFields;

  constructor(parts: {
    commitLog: CommitLog;
    queueOffsets: QueueOffsets;
    keyIndex: KeyIndex;
    hash: IndexHash;
    flush: Flush;
    writability: Writability;
    clock: Clock;
    storeHost: Buffer;
    delayLevels: readonly number[];
    maxMessageSize: number;
    /** Do messages go into the light queues that they name? */
    multiDispatch: boolean;
  }) {
    this.#lightPlaces = new LightPlaces({ isEnabled: parts.multiDispatch, queueOffsets: parts.queueOffsets });
    this.#commitLog = parts.commitLog;
    this.#queueOffsets = parts.queueOffsets;
    this.#keyIndex = parts.keyIndex;
    this.#hash = parts.hash;
    this.#flush = parts.flush;
    this.#writability = parts.writability;
    this.#clock = parts.clock;
    this.#storeHost = parts.storeHost;
    this.#delayLevels = parts.delayLevels;
    this.#limits = { maxMessageSize: parts.maxMessageSize, appendBytesMax: parts.commitLog.appendBytesMax };
    this.#fields = {
      topic: '',
      queueId: 0,
      queueOffset: 0,
      commitLogOffset: 0,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: 0,
      bornHost: this.#storeHost,
      storeTimestamp: 0,
      storeHost: this.#storeHost,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.alloc(0),
      properties: '',
    };
  }

  /** One message, or several of one queue as a batch. */
  append(messages: readonly MessageToStore[]): AppendOutcome {
    return batchRefusal(messages) ?? this.appendTogether(messages);
  }

  /** Any messages, contiguous and in one segment. Throws STORE_FAILED. */
  appendTogether(given: readonly MessageToStore[]): AppendOutcome {
    const { messages, places } = this.#lightPlaces.place(given);
    let sizeBytes = 0;
    for (let index = 0; index < messages.length; index += 1) {
      const message = messages[index];
      if (!message) continue;
      const size = sizeOrRefusal(message, this.#storeHost.length, this.#limits);
      if (typeof size !== 'number') return size;
      const refusal = places?.[index]?.length ? lightRefusal(size, this.#limits) : undefined;
      if (refusal) return refusal;
      sizeBytes += size;
    }
    const refusal = segmentRefusal(sizeBytes, this.#limits) ?? this.#reserve(messages, sizeBytes);
    return refusal ?? this.#encode(messages, places);
  }

  /** Everything that can fail. */
  #reserve(messages: readonly MessageToStore[], sizeBytes: number): AppendRefusal | undefined {
    this.#writability.assertUsable();
    const { nearlyFull } = this.#writability;
    if (nearlyFull !== undefined) return { status: 'SERVICE_NOT_AVAILABLE', reason: nearlyFull };
    this.#hashCount = 0;
    let count = 0;
    for (const { topic, sysFlag, properties } of messages) {
      this.#hash.forEach(topic, sysFlag, properties, this.#takeHash);
      this.#hashEnds[count] = this.#hashCount;
      count += 1;
    }
    try {
      if (this.#writability.roomMissing) {
        this.#commitLog.fillAhead();
        this.#writability.haveRoom();
      }
      this.#keyIndex.prepare(this.#hashCount);
      this.#commitLog.reserve(sizeBytes);
      return undefined;
    } catch (error) {
      if (!isNoRoom(error)) throw this.#writability.fail('creating a file', error);
      const { message } = this.#writability.missRoom('making room for an append', error);
      return { status: 'SERVICE_NOT_AVAILABLE', reason: message };
    }
  }

  #encode(messages: readonly MessageToStore[], lightPlaces: PlacedMessages['places']): AppendOutcome {
    const turn = this.#flush.current();
    const storeTimestamp = this.#clock.now();
    const places = new Array<StoredPlace>(messages.length);
    let hashAt = 0;
    for (let index = 0; index < messages.length; index += 1) {
      const message = messages[index];
      if (!message) continue;
      const { topic, queueId } = message;
      const isInQueue = isQueued(message.sysFlag);
      const queueOffset = isInQueue ? this.#queueOffsets.next(topic, queueId) : 0;
      const commitLogOffset = this.#commitLog.appendedEnd;
      this.#fill(message, queueOffset, commitLogOffset, storeTimestamp);
      const sizeBytes = this.#commitLog.append(this.#fields);
      for (const end = this.#hashEnds[index] ?? 0; hashAt < end; hashAt += 1) {
        this.#keyIndex.put(this.#hashes[hashAt] ?? 0, commitLogOffset, storeTimestamp);
      }
      if (isInQueue) {
        this.#queueOffsets.set(topic, queueId, queueOffset + 1);
        const tagsCode = entryTagsCode(topic, message.properties, storeTimestamp, this.#delayLevels);
        turn.entries.push({ topic, queueId, queueOffset, tagsCode, commitLogOffset, storeTimestamp, sizeBytes });
        for (const light of lightPlaces?.[index] ?? []) {
          this.#queueOffsets.set(light.topic, LIGHT_QUEUE_ID, light.queueOffset + 1);
          turn.entries.push({
            ...light,
            queueId: LIGHT_QUEUE_ID,
            tagsCode,
            commitLogOffset,
            storeTimestamp,
            sizeBytes,
          });
        }
      }
      places[index] = { commitLogOffset, queueId, queueOffset, sizeBytes, storeTimestamp };
    }
    return { status: 'PUT_OK', places, turn };
  }

  #fill(message: MessageToStore, queueOffset: number, commitLogOffset: number, storeTimestamp: number): void {
    const fields = this.#fields;
    fields.topic = message.topic;
    fields.queueId = message.queueId;
    fields.queueOffset = queueOffset;
    fields.commitLogOffset = commitLogOffset;
    fields.flag = message.flag;
    fields.sysFlag = message.sysFlag;
    fields.bornTimestamp = message.bornTimestamp;
    fields.bornHost = message.bornHost;
    fields.storeTimestamp = storeTimestamp;
    fields.storeHost = message.storeHost ?? this.#storeHost;
    fields.reconsumeTimes = message.reconsumeTimes;
    fields.preparedTransactionOffset = message.preparedTransactionOffset;
    fields.body = message.body;
    fields.properties = message.propertiesText;
  }
}
