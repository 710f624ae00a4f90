/**
 * One TCP connection, either end of it: frames in, frames out, requests both ways. It is the {@link Peer} that
 * processors see. Rules it keeps:
 *
 * - All frames that one event brings about (bytes that came, a turn of the log that was written) leave in one write to the
 *   socket, before the event loop goes on: one more round of it costs as much as the write.
 * - A server stops reading from a peer that does not read its answers ({@link WRITE_SOFT_BYTES}) and cuts it off when
 *   even so too much piles up ({@link WRITE_HARD_BYTES}). A client never stops reading, or both ends could wait for
 *   each other; it refuses new requests with TOO_BUSY instead.
 * - Of requests that are answered later, only so many of one peer are under way; one more is answered SYSTEM_BUSY.
 * - Bytes that are no frame close the connection without an answer. So do `idleMillis` without a byte in or out.
 * - When it closes, all requests in flight fail at once and the close listeners run once.
 *
 * Upstream: `NettyRemotingAbstract`, `NettyConnectManageHandler`.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { messageOf, RemotingError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { decodeFrame, encodeFrame, encodeFrameParts } from '../protocol/frame.js';
import type { HostAddress } from '../protocol/message.js';
import { packHost } from '../protocol/messageRecord.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { COMMAND_FLAG, isResponse, responseCommand } from '../protocol/remotingCommand.js';
import { CloseListeners } from './closeListeners.js';
import { FrameDecoder } from './frameDecoder.js';
import { InFlight } from './inFlight.js';
import type { Peer } from './processor.js';
import type { ProcessorTable } from './processorTable.js';
import { busyAnswer, responseFieldsOf } from './processorTable.js';

/** Unsent bytes over which a server stops reading from the peer, and a client refuses requests, unless told otherwise. */
export const WRITE_SOFT_BYTES = 8 * 1024 * 1024;
/** Unsent bytes over which the connection is cut off, unless told otherwise. */
export const WRITE_HARD_BYTES = 64 * 1024 * 1024;
/** A connection that buffers less is not worth a look at all of them. */
const BUFFERED_NOTICE_BYTES = 64 * 1024;
/** Up to here the frames of a turn are joined; more, or large ones, go out as they are, in one vectored write. */
const JOIN_MAX_BYTES = 256 * 1024;
const LARGE_PART_BYTES = 4096;
/** How long a closed connection may take to send what it still holds. */
const LINGER_MILLIS = 1000;

export interface ConnectionOptions {
  /** Connected already. */
  socket: Socket;
  side: 'server' | 'client';
  /** Answers what the other end requests. */
  table: ProcessorTable;
  maxFrameBytes: number;
  /** Requests to the peer that wait for an answer. */
  maxInFlight: number;
  idleMillis: number;
  /** Default {@link WRITE_SOFT_BYTES}. */
  softUnsentBytes?: number;
  /** Default {@link WRITE_HARD_BYTES}. */
  hardUnsentBytes?: number;
  /** Requests of the peer that are answered later. Default: no bound of its own. */
  maxRequests?: number;
  /** Called when the connection buffers an amount that counts. */
  onBuffered?: () => void;
  clock: Clock;
  logger: Logger;
}

let lastId = 0;

/** Unique in this process; also for ends without a socket. */
export function nextPeerId(): string {
  lastId += 1;
  return `peer-${lastId}`;
}

export class Connection implements Peer {
  readonly id = nextPeerId();
  readonly address: HostAddress;
  readonly packedHost: Buffer;
  readonly #socket: Socket;
  readonly #side: 'server' | 'client';
  readonly #table: ProcessorTable;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #inFlight: InFlight;
  readonly #decoder: FrameDecoder;
  readonly #closeListeners = new CloseListeners();
  readonly #idleScan: Timer;
  readonly #idleMillis: number;
  readonly #softUnsentBytes: number;
  readonly #hardUnsentBytes: number;
  readonly #maxRequests: number;
  readonly #onBuffered: () => void;
  /** Requests of the peer that are not answered yet. */
  #requests = 0;
  #lastActive: number;
  /** Runs when the callback of the event under way is done, and the promises that it settled. */
  readonly #flushSoon = () => this.#flush();
  /** Frames that wait for that. */
  #queued: Buffer[] = [];
  #queuedBytes = 0;
  #hasLargePart = false;
  /** Frames that came while too much was unsent: a few bytes can ask for many megabytes. At most one chunk of them. */
  #held: Buffer[] = [];
  #isReadingPaused = false;
  #isOpen = true;

  constructor(options: ConnectionOptions) {
    const { socket, side, table, maxFrameBytes, maxInFlight, idleMillis, clock, logger } = options;
    this.#softUnsentBytes = options.softUnsentBytes ?? WRITE_SOFT_BYTES;
    this.#hardUnsentBytes = options.hardUnsentBytes ?? WRITE_HARD_BYTES;
    this.#maxRequests = options.maxRequests ?? Number.POSITIVE_INFINITY;
    this.#onBuffered = options.onBuffered ?? (() => {});
    this.#socket = socket;
    this.#side = side;
    this.#table = table;
    this.#clock = clock;
    this.#logger = logger;
    this.#decoder = new FrameDecoder(maxFrameBytes);
    this.address = addressOf(socket);
    this.packedHost = packHost(this.address);
    this.#inFlight = new InFlight({
      clock,
      countMax: maxInFlight,
      peerText: `${this.address.host}:${this.address.port}`,
    });
    this.#idleMillis = idleMillis;
    this.#lastActive = clock.monotonic();
    this.#idleScan = clock.every(Math.max(1, idleMillis / 8), () => this.#closeWhenIdle());
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#resumeReading());
    // The other end has sent its last byte; half-open connections serve nobody here.
    socket.on('end', () => this.close());
    socket.on('error', (error) => this.#finish(`socket error: ${error.message}`));
    socket.on('close', () => this.#finish('closed by the other end'));
    if (socket.destroyed) this.#finish('closed before it was used');
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Bytes that the socket has not taken yet. */
  get unsentBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  /** Bytes that the connection keeps: unsent ones and those of a frame whose end has not come. */
  get bufferedBytes(): number {
    return this.unsentBytes + this.#decoder.pendingBytes;
  }

  invoke(request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand> {
    try {
      if (!this.#isOpen) throw this.#closedError();
      if (this.#inFlight.isFull) throw this.#inFlight.tooBusy();
      this.#assertRoom();
      const frame = encodeFrame(request);
      const response = this.#inFlight.add(request, timeoutMillis);
      this.#send(frame);
      return response;
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  notify(request: RemotingCommand): void {
    if (!this.#isOpen) return;
    this.#send(encodeFrame({ ...request, flag: request.flag | COMMAND_FLAG.ONEWAY }));
  }

  /** Like {@link notify}, but throws when nothing can be sent: TOO_BUSY, or CONNECT_FAILED on a closed connection. */
  notifyOrThrow(request: RemotingCommand): void {
    if (!this.#isOpen) throw this.#closedError();
    this.#assertRoom();
    this.notify(request);
  }

  onClose(listener: () => void): () => void {
    return this.#closeListeners.add(listener);
  }

  /** Sends what is queued, then closes. Requests in flight fail now. */
  close(): void {
    if (!this.#isOpen) return;
    this.#flush();
    this.#finish('closed here');
  }

  /** Closes at once; what is unsent is lost. */
  cutOff(reason: string): void {
    if (!this.#isOpen) return;
    this.#logger.warn(
      { peer: this.id, address: this.address, unsentBytes: this.unsentBytes },
      `connection to ${this.address.host}:${this.address.port} cut off: ${reason}`,
    );
    this.#finish(reason);
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    if (!this.#isOpen) return;
    this.#lastActive = this.#clock.monotonic();
    try {
      this.#decoder.push(chunk, (frame) => this.#onFrame(frame));
    } catch (thrown) {
      this.cutOff(messageOf(thrown));
    }
    if (this.#decoder.pendingBytes > BUFFERED_NOTICE_BYTES) this.#onBuffered();
  }

  #onFrame(frame: Buffer): void {
    if (!this.#isOpen) return;
    if (this.#side === 'server' && (this.#held.length > 0 || this.unsentBytes > this.#softUnsentBytes)) {
      this.#held.push(frame);
      this.#pauseReading();
    } else this.#onCommand(decodeFrame(frame));
  }

  #onCommand(command: RemotingCommand): void {
    if (isResponse(command)) {
      // Nobody waits for it any more when its request timed out.
      this.#inFlight.settle(command);
      return;
    }
    const answer = this.#requests >= this.#maxRequests ? busyAnswer(command) : this.#table.dispatch(command, this);
    if (answer === undefined) return;
    if (!(answer instanceof Promise)) {
      this.#respond(command, answer);
      return;
    }
    this.#requests += 1;
    void answer.then((response) => {
      this.#requests -= 1;
      if (response) this.#respond(command, response);
    });
  }

  #respond(request: RemotingCommand, response: RemotingCommand): void {
    if (!this.#isOpen) return;
    let parts: Buffer[];
    try {
      parts = encodeFrameParts(response);
    } catch (thrown) {
      // The answer does not fit into a frame: the requester must still get one.
      this.#logger.error({ peer: this.id, error: thrown }, `response cannot be sent: ${messageOf(thrown)}`);
      parts = [encodeFrame(responseCommand(request, responseFieldsOf(thrown)))];
    }
    for (const part of parts) this.#send(part);
  }

  /** A frame, or the next part of one. */
  #send(part: Buffer): void {
    if (this.#queued.length === 0) process.nextTick(this.#flushSoon);
    this.#queued.push(part);
    this.#queuedBytes += part.length;
    if (part.length >= LARGE_PART_BYTES) this.#hasLargePart = true;
    const { unsentBytes } = this;
    if (unsentBytes > this.#hardUnsentBytes) this.cutOff('it does not read what it is sent');
    else if (unsentBytes > BUFFERED_NOTICE_BYTES) this.#onBuffered();
  }

  #flush(): void {
    const frames = this.#queued;
    const bytes = this.#queuedBytes;
    const isJoined = bytes <= JOIN_MAX_BYTES && !this.#hasLargePart;
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#hasLargePart = false;
    const [first] = frames;
    if (!this.#isOpen || first === undefined) return;
    this.#lastActive = this.#clock.monotonic();
    if (frames.length === 1) this.#socket.write(first);
    else if (isJoined) this.#socket.write(Buffer.concat(frames, bytes));
    else {
      this.#socket.cork();
      for (const frame of frames) this.#socket.write(frame);
      this.#socket.uncork();
    }
    if (this.#side === 'server' && this.#socket.writableLength > this.#softUnsentBytes) this.#pauseReading();
  }

  #pauseReading(): void {
    this.#isReadingPaused = true;
    this.#socket.pause();
  }

  /** The socket has taken everything: first what was held, then new bytes. */
  #resumeReading(): void {
    if (!this.#isReadingPaused || !this.#isOpen) return;
    const frames = this.#held;
    this.#held = [];
    try {
      for (const frame of frames) this.#onFrame(frame);
    } catch (thrown) {
      this.cutOff(messageOf(thrown));
    }
    if (this.#held.length > 0 || !this.#isOpen) return;
    this.#isReadingPaused = false;
    this.#socket.resume();
  }

  #assertRoom(): void {
    if (this.unsentBytes <= this.#softUnsentBytes) return;
    const address = `${this.address.host}:${this.address.port}`;
    throw new RemotingError('TOO_BUSY', `${this.unsentBytes} bytes to ${address} are unsent: send fewer at a time`, {
      address,
    });
  }

  /** Nothing of a request went out on a connection that was closed before: it counts as not connected. */
  #closedError(): RemotingError {
    const address = `${this.address.host}:${this.address.port}`;
    return new RemotingError('CONNECT_FAILED', `connection to ${address} is closed`, { address });
  }

  #closeWhenIdle(): void {
    const idleMillis = this.#clock.monotonic() - this.#lastActive;
    if (idleMillis < this.#idleMillis) return;
    this.#logger.debug({ peer: this.id, idleMillis }, 'idle connection closed');
    this.close();
  }

  #finish(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#idleScan.cancel();
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#held = [];
    if (!this.#socket.destroyed) {
      const linger = this.#clock.after(LINGER_MILLIS, () => this.#socket.destroy());
      this.#socket.once('close', () => linger.cancel());
      this.#socket.resume();
      this.#socket.destroySoon();
    }
    this.#logger.debug({ peer: this.id, address: this.address, reason }, 'connection closed');
    this.#inFlight.failAll();
    this.#closeListeners.run((error) =>
      this.#logger.error({ peer: this.id, error }, `a close listener failed: ${messageOf(error)}`),
    );
  }
}

/** An IPv4 peer of a dual-stack socket shows as `::ffff:1.2.3.4`. */
function addressOf(socket: Socket): HostAddress {
  const host = socket.remoteAddress ?? '0.0.0.0';
  return { host: host.startsWith('::ffff:') ? host.slice('::ffff:'.length) : host, port: socket.remotePort ?? 0 };
}
