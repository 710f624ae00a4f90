/**
 * What tells a reader that something is missing between two records: versions of a stream, and queue offsets of a topic,
 * follow each other without a gap. Neither a damaged file nor a repair may pass unnoticed as a shorter history.
 */
import { FoldlogError } from '../base/errors.js';
import type { StoredMessage } from '../protocol/message.js';
import { EVENT_PROPERTY, keysOf } from '../protocol/messageProperties.js';
import { isRemovedMessage } from '../protocol/removedMessage.js';
import { decodeKey } from './eventKeys.js';
import type { StreamName } from './eventTypes.js';

/** Versions of one stream, in either direction. */
export class StreamOrder {
  readonly #name: StreamName;
  readonly #step: 1 | -1;
  #last: number | undefined;

  /** @param first version that is not missing although nothing was read yet: 0 when the whole stream is read forwards */
  constructor(name: StreamName, direction: 'forwards' | 'backwards', first: number | undefined) {
    this.#name = name;
    this.#step = direction === 'backwards' ? -1 : 1;
    this.#last = first;
  }

  /** Throws CORRUPTION when a version is missing before this one. One that is there twice is for the reader to judge. */
  check(version: number): void {
    const last = this.#last;
    if (last !== undefined && (version - last) * this.#step > 1) {
      throw streamGap(this.#name, Math.min(last, version), Math.max(last, version));
    }
    this.#last = version;
  }
}

/** Queue offsets of all records of topics, in either direction. */
export class QueueOrder {
  readonly #step: 1 | -1;
  /** By topic, of each queue the last offset. */
  readonly #last = new Map<string, number[]>();

  constructor(direction: 'forwards' | 'backwards') {
    this.#step = direction === 'backwards' ? -1 : 1;
  }

  check({ topic, queueId, queueOffset, commitLogOffset }: StoredMessage): void {
    let queues = this.#last.get(topic);
    if (!queues) {
      queues = [];
      this.#last.set(topic, queues);
    }
    const last = queues[queueId];
    if (last !== undefined && (queueOffset - last) * this.#step > 1) {
      throw new FoldlogError(
        'CORRUPTION',
        `queue ${queueId} of topic ${topic} has a gap before log position ${commitLogOffset}: offset ${last + this.#step} is not in the log`,
        { topic, queueId, queueOffset, commitLogOffset },
      );
    }
    queues[queueId] = queueOffset;
  }
}

/** Throws CORRUPTION for a record that a repair wrote in the place of a lost event. */
export function assertNotLost(record: StoredMessage): void {
  if (!isRemovedMessage(record)) return;
  const { topic, commitLogOffset, properties } = record;
  const [key] = keysOf(properties);
  const version = properties[EVENT_PROPERTY.STREAM_VERSION];
  const what =
    key === undefined ? 'an event that may have one of the keys' : `version ${version} of stream ${decodeKey(key)}`;
  throw new FoldlogError(
    'CORRUPTION',
    `${what} in topic ${topic} was lost at log position ${commitLogOffset} and removed by a repair: what is read would have a gap`,
    { topic, commitLogOffset, key, version },
  );
}

/** Between two versions that are there, or 0, lies at least one that is not. */
export function streamGap({ topic, stream }: StreamName, before: number, after: number): FoldlogError {
  return new FoldlogError(
    'CORRUPTION',
    `stream ${stream} of topic ${topic} has a gap: version ${before + 1}${after - before > 2 ? ` to ${after - 1}` : ''} is not in the log`,
    { topic, stream, from: before + 1, to: after - 1 },
  );
}
