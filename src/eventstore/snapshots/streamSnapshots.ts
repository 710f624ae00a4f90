/**
 * The snapshots of one kind of state: when one is due, how it is made of a stream view, and how it becomes one again.
 * Whether the log still holds its event is for the loader to see (`streamViewLoader.ts`).
 */
import { messageOf } from '../../base/errors.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { KeyRecord } from '../eventReader.js';
import type { StreamName } from '../eventTypes.js';
import type { StreamView } from '../streamViews.js';
import type { Snapshot } from './snapshot.js';
import type { SnapshotKeeper } from './snapshotKeeper.js';
import type { SnapshotRules } from './snapshotOptions.js';
import type { StateForm } from './stateForm.js';

export interface StreamSnapshotsParts<S> {
  topic: string;
  /** `order` of `order:42`. */
  prefix: string;
  rules: SnapshotRules;
  form: StateForm<S>;
  keeper: SnapshotKeeper;
  logger: Logger;
}

export class StreamSnapshots<S> {
  readonly #parts: StreamSnapshotsParts<S>;
  /** Version of the rules, and fields. */
  readonly #form: string;
  #isRefused = false;

  constructor(parts: StreamSnapshotsParts<S>) {
    this.#parts = parts;
    this.#form = `${parts.rules.version} ${parts.form.signature}`;
  }

  /** The stream's snapshot, of today's form, all of whose events were stored by then. Not compared with the log yet. */
  async find({ topic, stream }: StreamName, storedBy: TimestampMillis): Promise<Snapshot | undefined> {
    const snapshot = await this.#parts.keeper.load({ topic, stream, kind: this.#parts.form.name });
    return snapshot?.form === this.#form && snapshot.storedUntil <= storedBy ? snapshot : undefined;
  }

  /**
   * What follows from the snapshot and the first record that was read from its place on. Undefined, and the snapshot is
   * dropped, when that is not its event or the state does not come back.
   */
  async restore(snapshot: Snapshot, id: string, first: KeyRecord | undefined): Promise<S | undefined> {
    if (!first || !isEventOf(snapshot, first)) {
      await this.#parts.keeper.reject(snapshot, 'the log does not hold its event');
      return undefined;
    }
    try {
      return this.#parts.form.fromText(snapshot.state, id);
    } catch (thrown) {
      await this.#parts.keeper.reject(snapshot, `its state cannot be read: ${messageOf(thrown)}`);
      return undefined;
    }
  }

  /** Asks for a snapshot if one is due. `current` gives the view when it is taken, if nobody is changing it then. */
  requestIfDue(of: StreamName, view: StreamView<S>, current: () => StreamView<S> | undefined): void {
    if (!this.#isDue(view)) return;
    this.#parts.keeper.request(`${of.topic} ${of.stream} ${this.#parts.form.name}`, () => {
      const now = current();
      if (!now || now.state === undefined || !this.#isDue(now)) return undefined;
      try {
        return this.#of(of, now, now.state);
      } catch (thrown) {
        // Not asked again before as many more events.
        now.snapshot = { version: now.version, storedAt: now.newest.storedAt };
        this.#refused(thrown);
        return undefined;
      }
    });
  }

  /** Stores a snapshot of the view now. Throws OptionsError for a state that would not come back equal. */
  async store(of: StreamName, view: StreamView<S>, state: S): Promise<void> {
    await this.#parts.keeper.save(this.#of(of, view, state));
  }

  /** Drops those of one stream, or of all. */
  drop(stream: string | undefined): Promise<number> {
    const { topic, prefix, form, keeper } = this.#parts;
    const scope = { topic, kind: form.name };
    return keeper.drop(stream === undefined ? { ...scope, prefix: `${prefix}:` } : { ...scope, stream });
  }

  #isDue({ snapshot, version, newest }: StreamView<S>): boolean {
    return this.#parts.rules.isDue(snapshot, version, newest.storedAt);
  }

  #of({ topic, stream }: StreamName, view: StreamView<S>, state: S): Snapshot {
    const { form } = this.#parts;
    const { version, newest, position } = view;
    const text = form.toText(state);
    view.snapshot = { version, storedAt: newest.storedAt };
    const { brokerName, queueId, queueOffset, commitLogOffset } = position;
    return {
      ...{ topic, stream, kind: form.name, form: this.#form, streamVersion: version, eventId: newest.eventId },
      ...{ brokerName, queueId, queueOffset, commitLogOffset },
      ...{ storedAt: newest.storedAt, storedUntil: newest.storedUntil, state: text },
    };
  }

  #refused(thrown: unknown): void {
    if (this.#isRefused) return;
    this.#isRefused = true;
    const { logger, form, topic } = this.#parts;
    logger.error({ topic, kind: form.name, error: thrown }, `snapshots are left out: ${messageOf(thrown)}`);
  }
}

/** Is it the very record up to which the snapshot was folded? */
function isEventOf(snapshot: Snapshot, { version, message }: KeyRecord): boolean {
  return (
    version === snapshot.streamVersion &&
    message.msgId === snapshot.eventId &&
    message.brokerName === snapshot.brokerName &&
    message.queueId === snapshot.queueId &&
    message.queueOffset === snapshot.queueOffset &&
    message.commitLogOffset === snapshot.commitLogOffset &&
    message.storeTimestamp === snapshot.storedAt
  );
}
