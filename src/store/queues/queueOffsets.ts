/**
 * The next queue offset of every queue that was appended to (upstream: `QueueOffsetOperator`). It counts what is
 * appended, the consume queues what is visible: after start-up, and after a turn whose write failed, it is set from them.
 */
import type { QueueOffset } from '../../base/flavours.js';

export class QueueOffsets {
  readonly #topics = new Map<string, Map<number, QueueOffset>>();

  next(topic: string, queueId: number): QueueOffset {
    return this.#topics.get(topic)?.get(queueId) ?? 0;
  }

  set(topic: string, queueId: number, next: QueueOffset): void {
    let queues = this.#topics.get(topic);
    if (!queues) {
      queues = new Map();
      this.#topics.set(topic, queues);
    }
    queues.set(queueId, next);
  }

  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  forgetAll(): void {
    this.#topics.clear();
  }

  /** Every queue with its next offset. */
  *entries(): Generator<{ topic: string; queueId: number; next: QueueOffset }> {
    for (const [topic, queues] of this.#topics) {
      for (const [queueId, next] of queues) yield { topic, queueId, next };
    }
  }
}
