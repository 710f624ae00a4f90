/**
 * Tells from the records on both sides of a hole what was lost in it: queue offsets that are missing between two records
 * of a queue, and versions that are missing between two events of a stream. It is given every record and every hole, in
 * log order. Memory grows with the number of queues, and with streams up to a bound.
 */
import type { CommitLogOffset, QueueOffset, StreamVersion, TimestampMillis } from '../../base/flavours.js';
import { type StoredMessage, SYS_FLAG } from '../../protocol/message.js';
import { EVENT_PROPERTY, keysOf } from '../../protocol/messageProperties.js';
import { isQueued } from '../queues/dispatch.js';
import type { Hole } from './damageWalk.js';

const STREAMS_MAX = 200_000;
const RANGES_MAX = 100_000;

/** Queue offsets [from, to) that no record has. They lay in the holes with these numbers. */
export interface LostOffsets {
  topic: string;
  queueId: number;
  from: QueueOffset;
  to: QueueOffset;
  firstHole: number;
  lastHole: number;
}

/** Versions [from, to) that no event of the stream has. */
export interface LostVersions {
  topic: string;
  stream: string;
  from: StreamVersion;
  to: StreamVersion;
  /** The hole they lay in, or the last one that they can have lain in. */
  hole: number;
}

/** Where a hole lies between records that can be read. */
export interface BookedHole extends Hole {
  /** Store time of the record before it, or else of the first one in the log; 0 when no record can be read. */
  storeTimestamp: TimestampMillis;
}

interface QueueTrack {
  topic: string;
  queueId: number;
  next: QueueOffset;
  lastPosition: CommitLogOffset;
  holesThen: number;
}

/** Which queue offsets a lost record of a queue can have had: at least `from`, below `to` when that is known. */
export interface OffsetBounds {
  from: QueueOffset;
  to: QueueOffset | undefined;
}

export class LossBook {
  readonly holes: BookedHole[] = [];
  readonly offsets: LostOffsets[] = [];
  readonly versions: LostVersions[] = [];
  /** Ranges that were found beyond the bound, and are not in the lists. */
  unnamedCount = 0;
  readonly #queues = new Map<string, QueueTrack>();
  readonly #offsetsByQueue = new Map<string, LostOffsets[]>();
  readonly #streams = new Map<string, { version: StreamVersion; holesThen: number }>();
  readonly #logStart: CommitLogOffset;
  readonly #isForeign: (topic: string) => boolean;
  #lastTime: TimestampMillis = 0;

  /** `isForeign`: topics whose queues this store does not keep. */
  constructor(parts: { logStart: CommitLogOffset; isForeign: (topic: string) => boolean }) {
    this.#logStart = parts.logStart;
    this.#isForeign = parts.isForeign;
  }

  meetHole({ from, to, reason }: Hole): void {
    this.holes.push({ from, to, reason, storeTimestamp: this.#lastTime });
  }

  meet(message: StoredMessage): void {
    if (this.#lastTime === 0) for (const hole of this.holes) hole.storeTimestamp = message.storeTimestamp;
    this.#lastTime = message.storeTimestamp;
    if (!isQueued(message.sysFlag) || message.sysFlag & SYS_FLAG.INNER_BATCH || this.#isForeign(message.topic)) return;
    this.#meetQueue(message);
    this.#meetStream(message);
  }

  /** After the last record: where queues are known to have ended at some time, `knownEnds`, their last offsets are lost. */
  end(knownEnds: readonly { topic: string; queueId: number; maxOffset: QueueOffset }[]): void {
    for (const { topic, queueId, maxOffset } of knownEnds) {
      if (this.#isForeign(topic)) continue;
      const track = this.#queues.get(nameOf(topic, queueId));
      const from = track?.next ?? (this.#logStart === 0 ? 0 : maxOffset);
      const firstHole = track?.holesThen ?? 0;
      if (from >= maxOffset || this.holes.length <= firstHole) continue;
      this.#note({ topic, queueId, from, to: maxOffset, firstHole, lastHole: this.holes.length - 1 });
    }
  }

  /** What the offsets of this queue can have been in the hole; undefined when none of its records is missing there. */
  boundsIn(hole: number, topic: string, queueId: number): OffsetBounds | undefined {
    const ranges = this.#offsetsByQueue.get(nameOf(topic, queueId));
    const lost = ranges?.find((range) => hole >= range.firstHole && hole <= range.lastHole);
    if (lost) return { from: lost.from, to: lost.to };
    const track = this.#queues.get(nameOf(topic, queueId));
    if (!track) return { from: 0, to: undefined };
    const { from = 0 } = this.holes[hole] ?? {};
    return track.lastPosition < from ? { from: track.next, to: undefined } : undefined;
  }

  #meetQueue({ topic, queueId, queueOffset, commitLogOffset }: StoredMessage): void {
    const name = nameOf(topic, queueId);
    let track = this.#queues.get(name);
    if (!track) {
      // Of a log that begins at 0 every queue begins at 0.
      const next = this.#logStart === 0 ? 0 : queueOffset;
      track = { topic, queueId, next, lastPosition: -1, holesThen: 0 };
      this.#queues.set(name, track);
    }
    if (queueOffset > track.next && this.holes.length > track.holesThen) {
      const lastHole = this.holes.length - 1;
      this.#note({ topic, queueId, from: track.next, to: queueOffset, firstHole: track.holesThen, lastHole });
    }
    // A topic that was deleted and made again begins at 0 again.
    track.next = queueOffset + 1;
    track.lastPosition = commitLogOffset;
    track.holesThen = this.holes.length;
  }

  #note(lost: LostOffsets): void {
    if (this.offsets.length >= RANGES_MAX) {
      this.unnamedCount += 1;
      return;
    }
    this.offsets.push(lost);
    const name = nameOf(lost.topic, lost.queueId);
    const ranges = this.#offsetsByQueue.get(name);
    if (ranges) ranges.push(lost);
    else this.#offsetsByQueue.set(name, [lost]);
  }

  #meetStream({ topic, properties }: StoredMessage): void {
    const version = Number(properties[EVENT_PROPERTY.STREAM_VERSION] ?? 0);
    const [stream] = keysOf(properties);
    if (!(version > 0) || stream === undefined) return;
    const name = `${topic}#${stream}`;
    const known = this.#streams.get(name);
    const isComplete = this.#logStart === 0 && this.#streams.size < STREAMS_MAX;
    const next = known ? known.version + 1 : isComplete ? 1 : version;
    if (version > next && this.holes.length > (known?.holesThen ?? 0)) {
      if (this.versions.length >= RANGES_MAX) this.unnamedCount += 1;
      else this.versions.push({ topic, stream, from: next, to: version, hole: this.holes.length - 1 });
    }
    if (known) {
      known.version = version;
      known.holesThen = this.holes.length;
    } else if (this.#streams.size < STREAMS_MAX) this.#streams.set(name, { version, holesThen: this.holes.length });
  }
}

function nameOf(topic: string, queueId: number): string {
  return `${topic}/${queueId}`;
}
