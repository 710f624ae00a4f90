/** What `snapshot: { … }` of an aggregate or decider may say, checked where it is declared. */
import { OptionsError } from '../../base/errors.js';
import type { StreamVersion, TimestampMillis } from '../../base/flavours.js';

/** When snapshots are taken: by count, by time, or whichever comes first. */
export interface SnapshotOptions {
  /** After so many events since the last one. */
  every?: number;
  /** When the newest event was stored so long after the last one in the snapshot, or after the stream's first. */
  everyMillis?: number;
  /** Raise it when events change the state in another way: snapshots of other versions are not used. Default 1. */
  version?: number;
}

/** Where a stream's newest snapshot stands; without one, its beginning. */
export interface SnapshotMark {
  /** 0 without a snapshot. */
  version: StreamVersion;
  /** Store time of the snapshot's event; without a snapshot, of the stream's first one. */
  storedAt: TimestampMillis;
}

export class SnapshotRules {
  readonly version: number;
  readonly #every: number;
  readonly #everyMillis: number;

  /** Throws OptionsError. */
  constructor(options: SnapshotOptions, where: string) {
    const { every, everyMillis, version = 1 } = options;
    if (every === undefined && everyMillis === undefined) {
      throw new OptionsError(`${where}: snapshot needs every (events) or everyMillis`);
    }
    for (const [name, value] of Object.entries({ every, everyMillis, version })) {
      if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
      throw new OptionsError(`${where}: ${name} ${value} of snapshot must be a whole number from 1`);
    }
    this.version = version;
    this.#every = every ?? Number.POSITIVE_INFINITY;
    this.#everyMillis = everyMillis ?? Number.POSITIVE_INFINITY;
  }

  isDue(mark: SnapshotMark, version: StreamVersion, storedAt: TimestampMillis): boolean {
    if (version <= mark.version) return false;
    return version - mark.version >= this.#every || storedAt - mark.storedAt >= this.#everyMillis;
  }
}
