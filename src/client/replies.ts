/**
 * Requests of this session's producers that wait for their reply, by correlation id. The reply comes from a broker
 * (PUSH_REPLY_MESSAGE_TO_CLIENT) on any of the session's connections. Each request ends once: with its reply, its
 * timeout, the failure of its send, or the end of the session. Upstream: `RequestFutureHolder`.
 */
import type { Clock, Timer } from '../base/clock.js';
import { RemotingError } from '../base/errors.js';
import { PROPERTY } from '../protocol/messageProperties.js';
import type { ReceivedMessage } from './clientTypes.js';

/** Over it a request is refused before anything is sent. */
const WAITING_MAX = 65_536;

interface Waiting {
  timer: Timer;
  resolve(reply: ReceivedMessage): void;
  reject(error: Error): void;
}

export class Replies {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Waiting>();

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** The reply with this correlation id. Rejects with TOO_BUSY, REQUEST_TIMEOUT or CONNECTION_CLOSED. */
  expect(correlationId: string, topic: string, timeoutMillis: number): Promise<ReceivedMessage> {
    if (this.#waiting.size >= WAITING_MAX) {
      const text = `${WAITING_MAX} requests wait for a reply: make fewer at a time`;
      return Promise.reject(new RemotingError('TOO_BUSY', text, { topic }));
    }
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMillis, () => {
        this.#waiting.delete(correlationId);
        const text = `no reply to a request to ${topic} within ${timeoutMillis} ms: its consumer may have handled it`;
        reject(new RemotingError('REQUEST_TIMEOUT', text, { topic, correlationId, timeoutMillis }));
      });
      this.#waiting.set(correlationId, { timer, resolve, reject });
    });
  }

  /** Its send failed: nobody waits any more. */
  forget(correlationId: string): void {
    this.#take(correlationId);
  }

  /** False when nobody waits for it (any more). */
  deliver(reply: ReceivedMessage): boolean {
    const waiting = this.#take(reply.properties[PROPERTY.CORRELATION_ID] ?? '');
    if (!waiting) return false;
    if (reply.defect) waiting.reject(reply.defect);
    else waiting.resolve(reply);
    return true;
  }

  /** Every request fails now. */
  close(): void {
    for (const correlationId of [...this.#waiting.keys()]) {
      const text = 'the session was closed before the reply came: the request may have been handled';
      this.#take(correlationId)?.reject(new RemotingError('CONNECTION_CLOSED', text, { correlationId }));
    }
  }

  #take(correlationId: string): Waiting | undefined {
    const waiting = this.#waiting.get(correlationId);
    this.#waiting.delete(correlationId);
    waiting?.timer.cancel();
    return waiting;
  }
}
