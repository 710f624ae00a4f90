/**
 * The checks of a guarded append, in their order: was it appended already, are the streams at the expected versions, is
 * nothing new under the keys of the condition. They look at everything appended, visible or not, because whatever was
 * appended comes before this append in the log.
 *
 * Positions given from outside belong to a generation. One of an older generation counts only as far as the log was
 * not cut since: beyond the lowest end at which a later generation began, another record may lie at the same place.
 * One below the log's start counts only for topics that retention keeps: of others, records that it did not see may be
 * gone.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import { EVENT_PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import type { KeyHistory } from '../keys/keyHistory.js';
import type { StreamIndex } from '../keys/streamIndex.js';
import type { CommitLog } from '../log/commitLog.js';
import type { Flush } from '../log/flush.js';
import { SETTLED_TURN } from '../log/turn.js';
import type { Generations } from '../recovery/marks.js';
import { lowestEndSince } from '../recovery/marks.js';
import type { GuardedAppend, GuardedOutcome, LogPosition, StoredEventPlace } from '../storeTypes.js';

export class AppendCondition {
  readonly #commitLog: CommitLog;
  readonly #streamIndex: StreamIndex;
  readonly #keyHistory: KeyHistory;
  readonly #flush: Flush;
  readonly #generations: Generations;
  readonly #keepsTopic: (topic: string) => boolean;

  constructor(parts: {
    commitLog: CommitLog;
    streamIndex: StreamIndex;
    keyHistory: KeyHistory;
    flush: Flush;
    generations: Generations;
    keepsTopic: (topic: string) => boolean;
  }) {
    this.#commitLog = parts.commitLog;
    this.#streamIndex = parts.streamIndex;
    this.#keyHistory = parts.keyHistory;
    this.#flush = parts.flush;
    this.#generations = parts.generations;
    this.#keepsTopic = parts.keepsTopic;
  }

  /** Why nothing is to be appended; undefined when the append may go on. */
  check(append: GuardedAppend): GuardedOutcome | undefined {
    return (
      this.#alreadyAppended(append) ??
      this.#lostHead(append) ??
      this.#versionConflict(append) ??
      this.#conditionConflict(append)
    );
  }

  #alreadyAppended(append: GuardedAppend): GuardedOutcome | undefined {
    const { appendId, appendIdSince } = append;
    const downTo = appendIdSince && this.#holds(appendIdSince) ? appendIdSince.commitLogOffset : 0;
    const topics = new Set(append.events.map((event) => event.topic));
    for (const topic of topics) {
      const found = this.#keyHistory.append(topic, `${appendId}-0`, appendId, downTo);
      const places = found === undefined ? [] : this.#placesFrom(found);
      // Known from before retention removed it: the log does not hold it any more.
      if (found === undefined || places.length === 0) continue;
      const last = places.at(-1)?.commitLogOffset ?? found;
      return {
        status: 'ALREADY_APPENDED',
        places,
        generation: this.#generations.current,
        turn: this.#flush.covering(last),
      };
    }
    return undefined;
  }

  /** The records of an append lie next to each other; the first one says how many there are. */
  #placesFrom(first: CommitLogOffset): StoredEventPlace[] {
    const places: StoredEventPlace[] = [];
    let count = 1;
    for (let commitLogOffset = first; places.length < count; ) {
      const bytes = this.#commitLog.readRecord(commitLogOffset);
      if (!bytes) break;
      const record = decodeRecord(bytes, 0, { verifyCrc: false });
      const { queueId, queueOffset, sizeBytes, storeTimestamp, properties } = record;
      const version = Number(properties[EVENT_PROPERTY.STREAM_VERSION] ?? 0);
      if (places.length === 0) count = Number(properties[EVENT_PROPERTY.APPEND_INDEX]?.split('/')[1] ?? 1);
      places.push({ commitLogOffset, queueId, queueOffset, sizeBytes, storeTimestamp, version });
      commitLogOffset += sizeBytes;
    }
    return places;
  }

  /** A stream whose newest events a repair removed, and no later one tells its version, would be numbered again. */
  #lostHead({ events, expectedVersions }: GuardedAppend): GuardedOutcome | undefined {
    const streams = events.map(({ topic, keys: [stream] }) => ({ topic, stream }));
    for (const { topic, stream } of [...streams, ...expectedVersions]) {
      const { isLost, commitLogOffset } = this.#streamIndex.head(topic, stream);
      if (!isLost) continue;
      const reason = `stream ${stream} of topic ${topic} has a gap at its end: its newest events were lost at log position ${commitLogOffset}, so it takes no more`;
      return { status: 'MESSAGE_ILLEGAL', reason };
    }
    return undefined;
  }

  #versionConflict(append: GuardedAppend): GuardedOutcome | undefined {
    for (const { topic, stream, expected } of append.expectedVersions) {
      if (expected === 'ANY') continue;
      const head = this.#streamIndex.head(topic, stream);
      const actual = head.version;
      const isMet =
        expected === 'NO_STREAM' ? actual === 0 : expected === 'STREAM_EXISTS' ? actual > 0 : actual === expected;
      if (isMet) continue;
      const turn = this.#flush.covering(head.commitLogOffset);
      return { status: 'VERSION_CONFLICT', topic, stream, expected, actual, turn };
    }
    return undefined;
  }

  #conditionConflict(append: GuardedAppend): GuardedOutcome | undefined {
    if (!append.condition) return undefined;
    const { keys, end } = append.condition;
    const holds = this.#holds(end);
    const isBeforeLog = end.commitLogOffset < this.#commitLog.minOffset;
    for (const { topic, key } of keys) {
      if (!holds || (isBeforeLog && !this.#keepsTopic(topic)))
        return { status: 'CONDITION_CONFLICT', topic, key, turn: SETTLED_TURN };
      const found = this.#keyHistory.newestCarrying(topic, key, end.commitLogOffset);
      if (found !== undefined) return { status: 'CONDITION_CONFLICT', topic, key, turn: this.#flush.covering(found) };
    }
    return undefined;
  }

  /** Does the log still hold, unchanged, everything below the position that its maker saw? */
  #holds(position: LogPosition): boolean {
    if (position.commitLogOffset > this.#commitLog.appendedEnd) return false;
    if (position.generation >= this.#generations.current) return position.generation === this.#generations.current;
    const lowest = lowestEndSince(this.#generations, position.generation);
    return lowest === undefined || position.commitLogOffset <= lowest;
  }
}
