/**
 * Answers "which is the newest record of this key" from the index, comparing the records' keys, because the index
 * knows only hashes. Java's string hash collides easily: when a walk met too many records of other keys, what it
 * learns about the hash is kept, so that ten thousand keys of one hash cost a walk once and a map look-up after.
 *
 * Appends need not tell: a kept history first reads what was appended since it was last asked.
 */
import type { CommitLogOffset, StreamVersion } from '../../base/flavours.js';
import type { CommitLog } from '../log/commitLog.js';
import type { RecordKeys } from '../log/recordView.js';
import { recordKeys } from '../log/recordView.js';
import { REMOVED_TOPIC } from '../log/removedRecord.js';
import type { IndexHash } from './indexHash.js';
import type { KeyIndex } from './keyIndex.js';

/** Records of other keys that a walk may meet before its findings are kept. */
const KEPT_AFTER_RECORDS = 32;
/** Hashes and keys that are kept; past either the hashes learnt first are forgotten, and learnt anew when asked for. */
const HISTORIES_MAX = 1_000;
const KEYS_MAX = 200_000;

export interface StreamHead {
  version: StreamVersion;
  commitLogOffset: CommitLogOffset;
  /** A repair removed what was there, and its version is not known: nobody can say how the stream goes on. */
  isLost?: true;
}

/** What is known of one key: the newest record that... */
interface KeyFacts {
  /** ...carries it in any place of its KEYS. */
  carrying?: CommitLogOffset;
  /** ...has it as its first key and a version. */
  head?: StreamHead;
  /** ...has it as its UNIQ_KEY, by append id. */
  appends?: Map<string, CommitLogOffset>;
}

interface History {
  /** Everything in [walkedDownTo, readUpTo) is in `facts`. */
  readUpTo: CommitLogOffset;
  walkedDownTo: CommitLogOffset;
  facts: Map<string, KeyFacts>;
  /** The newest record that stands for lost ones with a key of this hash, by topic; '' for any topic. */
  lostAt: Map<string, CommitLogOffset>;
}

/**
 * One question: what to take from a record, and from a kept history. Undefined goes on looking. `isLost`, `lostAt`: the
 * record there stands for a lost one that may have had the key.
 */
interface Question<Answer> {
  ofRecord(record: RecordKeys, isLost: boolean): Answer | undefined;
  ofFacts(facts: KeyFacts, lostAt: CommitLogOffset): Answer | undefined;
}

const NOTHING_KNOWN: KeyFacts = {};

export class KeyHistory {
  readonly #keyIndex: KeyIndex;
  readonly #commitLog: CommitLog;
  readonly #hash: IndexHash;
  /** Records before the topic's deletion are not its own any more. */
  readonly #isDeleted: (topic: string, commitLogOffset: CommitLogOffset) => boolean;
  readonly #histories = new Map<number, History>();
  #keyCount = 0;

  constructor(parts: {
    keyIndex: KeyIndex;
    commitLog: CommitLog;
    hash: IndexHash;
    isDeleted: (topic: string, commitLogOffset: CommitLogOffset) => boolean;
  }) {
    this.#keyIndex = parts.keyIndex;
    this.#commitLog = parts.commitLog;
    this.#hash = parts.hash;
    this.#isDeleted = parts.isDeleted;
  }

  /** The newest record at or after `downTo` that carries the key in any place of its KEYS. */
  newestCarrying(topic: string, key: string, downTo: CommitLogOffset): CommitLogOffset | undefined {
    return this.#find(topic, key, downTo, {
      ofRecord: (record, isLost) => (isLost || record.keys.includes(key) ? record.commitLogOffset : undefined),
      ofFacts({ carrying = -1 }, lostAt) {
        const newest = Math.max(carrying, lostAt);
        return newest < Math.max(0, downTo) ? undefined : newest;
      },
    });
  }

  /** The newest event of a stream: whose first key it is. */
  head(topic: string, stream: string): StreamHead | undefined {
    return this.#find(topic, stream, 0, {
      ofRecord: (record, isLost) => (isLost ? lostHead(record.commitLogOffset) : headOf(record, stream)),
      ofFacts: ({ head }, lostAt) => (lostAt > (head?.commitLogOffset ?? -1) ? lostHead(lostAt) : head),
    });
  }

  /** The record with this UNIQ_KEY and append id, at or after `downTo`. */
  append(topic: string, uniqKey: string, appendId: string, downTo: CommitLogOffset): CommitLogOffset | undefined {
    return this.#find(topic, uniqKey, downTo, {
      ofRecord: (record) =>
        record.uniqKey === uniqKey && record.appendId === appendId ? record.commitLogOffset : undefined,
      ofFacts: (facts) => facts.appends?.get(appendId),
    });
  }

  /** After records were abandoned. */
  forgetAll(): void {
    this.#histories.clear();
    this.#keyCount = 0;
  }

  #find<Answer>(topic: string, key: string, downTo: CommitLogOffset, question: Question<Answer>): Answer | undefined {
    const hash = this.#hash.of(topic, key);
    if (this.#histories.size > 0 && this.#histories.has(hash)) return this.#ask(hash, topic, key, downTo, question);
    let answer: Answer | undefined;
    let others = 0;
    this.#keyIndex.visit(hash, downTo, (commitLogOffset) => {
      const record = this.#read(commitLogOffset);
      const isLost = record !== undefined && isLostUnder(record, topic, hash);
      if (record && (isLost || record.topic === topic)) answer = question.ofRecord(record, isLost);
      if (answer !== undefined) return true;
      others += 1;
      return others > KEPT_AFTER_RECORDS;
    });
    if (answer !== undefined || others <= KEPT_AFTER_RECORDS) return answer;
    this.#makeRoom(hash);
    const end = this.#commitLog.appendedEnd;
    this.#histories.set(hash, { readUpTo: end, walkedDownTo: end, facts: new Map(), lostAt: new Map() });
    return this.#ask(hash, topic, key, downTo, question);
  }

  #ask<Answer>(
    hash: number,
    topic: string,
    key: string,
    downTo: CommitLogOffset,
    question: Question<Answer>,
  ): Answer | undefined {
    const history = this.#histories.get(hash);
    if (!history) return undefined;
    this.#readNew(hash, history);
    if (this.#keyCount > KEYS_MAX) this.#makeRoom(hash);
    const name = `${topic}#${key}`;
    const answerOf = () => {
      const lostAt = Math.max(history.lostAt.get(topic) ?? -1, history.lostAt.get('') ?? -1);
      return question.ofFacts(history.facts.get(name) ?? NOTHING_KNOWN, lostAt);
    };
    let answer = answerOf();
    if (answer !== undefined || history.walkedDownTo <= downTo) return answer;
    let walked = downTo;
    this.#keyIndex.visit(hash, downTo, (commitLogOffset) => {
      if (commitLogOffset >= history.walkedDownTo) return false;
      const record = this.#read(commitLogOffset);
      if (record) this.#learn(hash, history, record, false);
      answer = answerOf();
      if (answer !== undefined) walked = commitLogOffset;
      return answer !== undefined;
    });
    history.walkedDownTo = walked;
    return answer;
  }

  #readNew(hash: number, history: History): void {
    const end = this.#commitLog.appendedEnd;
    if (history.readUpTo === end) return;
    const fresh: CommitLogOffset[] = [];
    this.#keyIndex.visit(hash, history.readUpTo, (commitLogOffset) => {
      fresh.push(commitLogOffset);
      return false;
    });
    history.readUpTo = end;
    for (const commitLogOffset of fresh.reverse()) {
      const record = this.#read(commitLogOffset);
      if (record) this.#learn(hash, history, record, true);
    }
  }

  /** `isNewer`: than everything learnt so far; otherwise older, and only what is not known yet counts. */
  #learn(hash: number, history: History, record: RecordKeys, isNewer: boolean): void {
    const of = (key: string): KeyFacts | undefined => {
      if (this.#hash.of(record.topic, key) !== hash) return undefined;
      const name = `${record.topic}#${key}`;
      let facts = history.facts.get(name);
      if (!facts) {
        facts = {};
        history.facts.set(name, facts);
        this.#keyCount += 1;
      }
      return facts;
    };
    if (record.lostHashes.includes(hash)) {
      const topic = isFiller(record) ? '' : record.topic;
      if (isNewer || !history.lostAt.has(topic)) history.lostAt.set(topic, record.commitLogOffset);
    }
    for (const key of record.keys) {
      const facts = of(key);
      if (facts && (isNewer || facts.carrying === undefined)) facts.carrying = record.commitLogOffset;
      const head = facts && headOf(record, key);
      if (facts && head && (isNewer || !facts.head)) facts.head = head;
    }
    if (record.uniqKey === undefined || record.appendId === undefined) return;
    const facts = of(record.uniqKey);
    if (!facts) return;
    facts.appends ??= new Map();
    if (isNewer || !facts.appends.has(record.appendId)) facts.appends.set(record.appendId, record.commitLogOffset);
  }

  #read(commitLogOffset: CommitLogOffset): RecordKeys | undefined {
    const bytes = this.#commitLog.readRecord(commitLogOffset);
    if (!bytes) return undefined;
    const record = recordKeys(bytes);
    return this.#isDeleted(record.topic, commitLogOffset) ? undefined : record;
  }

  /** The hash that is asked for stays, however many keys it has. */
  #makeRoom(asked: number): void {
    for (const [hash, { facts }] of this.#histories) {
      if (this.#histories.size < HISTORIES_MAX && this.#keyCount < KEYS_MAX) return;
      if (hash === asked) continue;
      this.#histories.delete(hash);
      this.#keyCount -= facts.size;
    }
  }
}

function isFiller({ topic }: RecordKeys): boolean {
  return REMOVED_TOPIC.startsWith(topic);
}

/** Does it stand for a record that may have had a key of this hash, in this topic? */
function isLostUnder(record: RecordKeys, topic: string, hash: number): boolean {
  return record.lostHashes.includes(hash) && (record.topic === topic || isFiller(record));
}

function lostHead(commitLogOffset: CommitLogOffset): StreamHead {
  return { version: 0, commitLogOffset, isLost: true };
}

function headOf(record: RecordKeys, stream: string): StreamHead | undefined {
  if (record.keys[0] !== stream || record.version === undefined) return undefined;
  return { version: record.version, commitLogOffset: record.commitLogOffset };
}
