/**
 * An application's snapshots: reads them, and stores new ones in the background, some in one transaction. Commands and
 * loads never wait for a snapshot to be stored and never fail because of one: a database that is away costs reading
 * streams whole, and one warning. What is asked for beyond the bound is left out; the next command asks again.
 */
import type { Clock } from '../../base/clock.js';
import { LifecycleError, messageOf } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import type { AppDatabase } from '../../database/appDatabase.js';
import { decodeSnapshot, encodeSnapshot, type Snapshot, type SnapshotKey } from './snapshot.js';
import { type SnapshotScope, SnapshotTable } from './snapshotTable.js';

/** Streams whose snapshot waits to be taken. */
const WAITING_MAX = 1_000;
/** Snapshots of one transaction. */
const BATCH_MAX = 64;

/** After a failure streams are read whole for so long, before a load waits for the database again. */
const AVOID_MILLIS = 5_000;

/** Makes the snapshot at the moment when it is stored; undefined when there is nothing to store any more. */
export type TakeSnapshot = () => Snapshot | undefined;

export class SnapshotKeeper {
  readonly #database: () => Promise<AppDatabase>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #waiting = new Map<string, TakeSnapshot>();
  #opening: Promise<SnapshotTable> | undefined;
  #working: Promise<void> | undefined;
  #isClosed = false;
  /** Said once until it works again. */
  #isFailing = false;
  /** Until this time of the monotonic clock loads do without. */
  #avoidUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: { database: () => Promise<AppDatabase>; clock: Clock; logger: Logger }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  /** Opens the table, so that what is wrong with the database is found before the first command. */
  async prepare(): Promise<void> {
    await this.#table();
  }

  /** The snapshot of this key, if there is one that was stored as it is. Never rejects. */
  async load(key: SnapshotKey): Promise<Snapshot | undefined> {
    if (this.#clock.monotonic() < this.#avoidUntil) return undefined;
    try {
      const table = await this.#table();
      const stored = await table.load(key);
      const snapshot = stored && decodeSnapshot(stored, key);
      if (stored && !snapshot) {
        this.#logger.warn({ ...key }, 'a damaged snapshot is dropped, the stream is read whole');
        await table.remove(key, stored.digest);
      }
      this.#isFailing = false;
      return snapshot;
    } catch (thrown) {
      this.#avoidUntil = this.#clock.monotonic() + AVOID_MILLIS;
      this.#failed(thrown, 'snapshots cannot be read, streams are read whole');
      return undefined;
    }
  }

  /** Removes a snapshot that turned out not to fit the log. Never rejects. */
  async reject(snapshot: Snapshot, reason: string): Promise<void> {
    const { topic, stream, kind, streamVersion } = snapshot;
    this.#logger.info(
      { topic, stream, kind, streamVersion, reason },
      'a snapshot is dropped, the stream is read whole',
    );
    try {
      const { digest } = encodeSnapshot(snapshot);
      await (await this.#table()).remove(snapshot, digest);
    } catch (thrown) {
      this.#failed(thrown, 'a snapshot that does not fit the log could not be removed');
    }
  }

  /** Stores one now. */
  async save(snapshot: Snapshot): Promise<void> {
    await (await this.#table()).save([{ ...snapshot, ...encodeSnapshot(snapshot) }], this.#clock.now());
  }

  async drop(scope: SnapshotScope): Promise<number> {
    return (await this.#table()).drop(scope);
  }

  /** Has the snapshot taken and stored soon, after what is under way now. */
  request(name: string, take: TakeSnapshot): void {
    if (this.#isClosed || (this.#waiting.size >= WAITING_MAX && !this.#waiting.has(name))) return;
    this.#waiting.set(name, take);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Stores what was asked for until now; nothing is taken afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#working;
  }

  #table(): Promise<SnapshotTable> {
    if (!this.#opening) {
      const opening = this.#database().then((database) => SnapshotTable.open(database));
      // A database that was away is tried again.
      opening.catch(() => {
        if (this.#opening === opening) this.#opening = undefined;
      });
      this.#opening = opening;
    }
    return this.#opening;
  }

  async #work(): Promise<void> {
    while (this.#waiting.size > 0) {
      // The command that asked gets its answer first.
      await new Promise((resolve) => setImmediate(resolve));
      const batch: (Snapshot & { content: string; digest: string })[] = [];
      for (const [name, take] of this.#waiting) {
        this.#waiting.delete(name);
        const snapshot = take();
        if (snapshot) batch.push({ ...snapshot, ...encodeSnapshot(snapshot) });
        if (batch.length >= BATCH_MAX) break;
      }
      if (batch.length === 0) continue;
      try {
        await (await this.#table()).save(batch, this.#clock.now());
        this.#isFailing = false;
      } catch (thrown) {
        this.#failed(thrown, 'snapshots could not be stored');
      }
    }
  }

  #failed(thrown: unknown, what: string): void {
    // A load that ends while the application stops.
    const isExpected = this.#isClosed && thrown instanceof LifecycleError;
    if (!this.#isFailing && !isExpected) this.#logger.warn({ reason: messageOf(thrown), cause: thrown }, what);
    this.#isFailing = true;
  }
}
