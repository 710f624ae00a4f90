/**
 * A snapshot: a stream's state as text, with the event up to which it was folded. It is a guess like everything that is
 * remembered of a stream: it counts only while the log holds that very record, at the same place with the same id,
 * version and store time. Then it also holds everything before it, because what a log loses it loses from its end.
 *
 * Stored as one text of JSON beside its digest, so that a row that was changed, cut off or moved to another stream is
 * found out (`snapshotTable.ts`):
 *
 *     { topic, stream, kind, form, streamVersion, eventId, brokerName, queueId, queueOffset, commitLogOffset,
 *       storedAt, storedUntil, state }
 */
import { createHash } from 'node:crypto';
import type { QueueOffset, StreamVersion, TimestampMillis } from '../../base/flavours.js';

/** Names the one snapshot of a stream and kind of state. */
export interface SnapshotKey {
  topic: string;
  stream: string;
  /** Tells apart states that several classes make of the same stream. */
  kind: string;
}

export interface Snapshot extends SnapshotKey {
  /** Of the state's text, as its class declares it: `version` and the names of its fields. */
  form: string;
  /** Of the last event in the state. */
  streamVersion: StreamVersion;
  eventId: string;
  brokerName: string;
  queueId: number;
  queueOffset: QueueOffset;
  commitLogOffset: number;
  storedAt: TimestampMillis;
  /** The latest store time of all events in the state: a clock may have been set back in between. */
  storedUntil: TimestampMillis;
  /** What the form made of the state. */
  state: string;
}

/** A snapshot as it is kept. */
export interface SnapshotText {
  content: string;
  digest: string;
}

export function encodeSnapshot(snapshot: Snapshot): SnapshotText {
  const content = JSON.stringify(snapshot);
  return { content, digest: digestOf(content) };
}

/** Undefined for a text that is not what was stored under this key. */
export function decodeSnapshot({ content, digest }: SnapshotText, key: SnapshotKey): Snapshot | undefined {
  if (digestOf(content) !== digest) return undefined;
  // Its digest is right, so it is what encodeSnapshot made of a snapshot.
  const snapshot = JSON.parse(content) as Snapshot;
  const isOfKey = snapshot.topic === key.topic && snapshot.stream === key.stream && snapshot.kind === key.kind;
  return isOfKey ? snapshot : undefined;
}

const digestOf = (content: string) => createHash('sha256').update(content).digest('hex');
