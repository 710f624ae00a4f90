/**
 * Requests of one connection that wait for their response, by opaque, each with a deadline. Bounded: over the bound a
 * request is refused with TOO_BUSY before anything is sent. One periodic scan finds those whose time is over (a timer
 * per request would cost more than the request); it runs only while something waits. Upstream:
 * `NettyRemotingAbstract.responseTable`, `scanResponseTable`.
 */
import { assert } from '../base/assert.js';
import type { Clock, Timer } from '../base/clock.js';
import { RemotingError } from '../base/errors.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { requestCodeName } from '../protocol/requestCodes.js';

interface Waiting {
  readonly code: number;
  readonly timeoutMillis: number;
  readonly deadline: number;
  readonly resolve: (response: RemotingCommand) => void;
  readonly reject: (error: RemotingError) => void;
}

/** How late a timeout may be noticed. */
const SCAN_MILLIS = 100;

export class InFlight {
  readonly #clock: Clock;
  readonly #countMax: number;
  readonly #peerText: string;
  readonly #waiting = new Map<number, Waiting>();
  #scan: Timer | undefined;

  /** @param peerText how errors call the other end, for instance `127.0.0.1:10911` */
  constructor({ clock, countMax, peerText }: { clock: Clock; countMax: number; peerText: string }) {
    this.#clock = clock;
    this.#countMax = countMax;
    this.#peerText = peerText;
  }

  get size(): number {
    return this.#waiting.size;
  }

  get isFull(): boolean {
    return this.#waiting.size >= this.#countMax;
  }

  /** The error of a request that finds the table full. */
  tooBusy(): RemotingError {
    return new RemotingError(
      'TOO_BUSY',
      `${this.#waiting.size} requests to ${this.#peerText} wait for an answer: send fewer at a time`,
      { address: this.#peerText },
    );
  }

  /** Waits for the response to `request`. The caller sends it, after this and in the same turn. */
  add(request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand> {
    const { opaque, code } = request;
    assert(!this.#waiting.has(opaque), `opaque ${opaque} is in flight once: make a new request for each attempt`);
    const deadline = this.#clock.monotonic() + timeoutMillis;
    return new Promise((resolve, reject) => {
      this.#waiting.set(opaque, { code, timeoutMillis, deadline, resolve, reject });
      this.#scan ??= this.#clock.every(SCAN_MILLIS, () => this.#failOverdue());
    });
  }

  /** False when nobody waits for it (any more). */
  settle(response: RemotingCommand): boolean {
    const waiting = this.#waiting.get(response.opaque);
    if (waiting === undefined) return false;
    this.#waiting.delete(response.opaque);
    waiting.resolve(response);
    return true;
  }

  /** The connection is gone: every request fails now. */
  failAll(): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#stopScan();
    for (const { code, reject } of all) {
      reject(
        new RemotingError(
          'CONNECTION_CLOSED',
          `connection to ${this.#peerText} closed before it answered ${requestCodeName(code)}`,
          { address: this.#peerText, request: requestCodeName(code) },
        ),
      );
    }
  }

  #failOverdue(): void {
    const now = this.#clock.monotonic();
    for (const [opaque, { code, timeoutMillis, deadline, reject }] of this.#waiting) {
      if (deadline > now) continue;
      this.#waiting.delete(opaque);
      reject(
        new RemotingError(
          'REQUEST_TIMEOUT',
          `no answer from ${this.#peerText} to ${requestCodeName(code)} within ${timeoutMillis} ms`,
          { address: this.#peerText, request: requestCodeName(code), timeoutMillis },
        ),
      );
    }
    if (this.#waiting.size === 0) this.#stopScan();
  }

  #stopScan(): void {
    this.#scan?.cancel();
    this.#scan = undefined;
  }
}
