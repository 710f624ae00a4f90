/**
 * A TCP server of the remoting protocol: accepts connections up to a bound and gives each the processor table. What one
 * connection may keep is bounded in `connection.ts`, what all keep together here: over it the one that keeps most is
 * cut off, so that many slow readers cost no more than one.
 * Upstream: `NettyRemotingServer`.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../base/clock.js';
import { systemClock } from '../base/clock.js';
import { FoldlogError, messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { silentLogger } from '../base/logger.js';
import { MAX_FRAME_BYTES } from '../protocol/frame.js';
import type { HostAddress } from '../protocol/message.js';
import { Connection } from './connection.js';
import type { Peer } from './processor.js';
import type { ProcessorTable } from './processorTable.js';

const BACKLOG = 1024;
/** Requests of the server to one peer that wait for an answer. */
const MAX_IN_FLIGHT = 4096;
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;

export interface RemotingServerOptions {
  /** 0 takes any free port. */
  port: number;
  /** Default 127.0.0.1. */
  host?: string;
  table: ProcessorTable;
  /** More are dropped as they come. Default 10,000. */
  maxConnections?: number;
  /** Default 16 MiB. */
  maxFrameBytes?: number;
  /** Unsent bytes over which a connection is not read from. 0 or unset: 8 MiB. */
  writeBufferHighWaterMark?: number;
  /** Unsent bytes over which a connection is cut off. Default 64 MiB. */
  maxUnsentBytes?: number;
  /** Bytes that all connections keep together, unsent or half received. Default 256 MiB. */
  maxBufferedBytes?: number;
  /** Requests of one connection that are answered later; one more is answered SYSTEM_BUSY. Default: no bound. */
  maxRequestsPerConnection?: number;
  /** A connection without a byte in either direction for this long is closed. Default 120,000. */
  idleMillis?: number;
  clock?: Clock;
  logger?: Logger;
  /** Called once for each connection that goes away, for whatever reason. Peer.onClose tells the same of one. */
  onPeerClose?: (peer: Peer) => void;
}

export class RemotingServer {
  readonly address: HostAddress;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #maxBufferedBytes: number;
  #willLook = false;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, address: HostAddress, maxBufferedBytes: number) {
    this.#server = server;
    this.address = address;
    this.#maxBufferedBytes = maxBufferedBytes;
  }

  /** Resolves when the port is open. Throws PORT_TAKEN, or OPTIONS_INVALID for an address that is not this machine's. */
  static async listen(options: RemotingServerOptions): Promise<RemotingServer> {
    const { port, host = '127.0.0.1', maxConnections = 10_000, logger = silentLogger } = options;
    const tcp = createServer({ noDelay: true, highWaterMark: 256 * 1024 });
    tcp.maxConnections = maxConnections;
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', (error) => reject(listenError(error, host, port)));
      tcp.listen({ port, host, backlog: BACKLOG }, resolve);
    });
    tcp.removeAllListeners('error');
    const bound = tcp.address();
    const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
    const { maxBufferedBytes = MAX_BUFFERED_BYTES } = options;
    const server = new RemotingServer(tcp, { host, port: boundPort }, maxBufferedBytes);
    tcp.on('connection', (socket) => server.#accept(socket, options));
    tcp.on('drop', () => logger.warn({ maxConnections }, `connection refused: ${maxConnections} are open already`));
    // Running out of file descriptors, for one: those that are open go on.
    tcp.on('error', (error) => logger.error({ error }, `a connection could not be accepted: ${error.message}`));
    return server;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Stops listening, sends what is queued and closes every connection. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const connection of this.#connections) connection.close();
    });
    return this.#closing;
  }

  #accept(socket: Socket, options: RemotingServerOptions): void {
    // The peer was gone before it could be accepted.
    if (socket.remoteAddress === undefined || this.#closing) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const { table, maxFrameBytes = MAX_FRAME_BYTES, idleMillis = 120_000, onPeerClose } = options;
    const { clock = systemClock, logger = silentLogger } = options;
    const connection = new Connection({
      socket,
      side: 'server',
      table,
      maxFrameBytes,
      idleMillis,
      maxInFlight: MAX_IN_FLIGHT,
      ...(options.writeBufferHighWaterMark && { softUnsentBytes: options.writeBufferHighWaterMark }),
      ...(options.maxUnsentBytes !== undefined && { hardUnsentBytes: options.maxUnsentBytes }),
      ...(options.maxRequestsPerConnection !== undefined && { maxRequests: options.maxRequestsPerConnection }),
      onBuffered: () => this.#lookSoon(),
      clock,
      logger,
    });
    this.#connections.add(connection);
    connection.onClose(() => {
      this.#connections.delete(connection);
      onPeerClose?.(connection);
    });
  }

  /** Once in a turn, when its answers have been handed to the sockets: most of them go out at once. */
  #lookSoon(): void {
    if (this.#willLook) return;
    this.#willLook = true;
    setImmediate(() => {
      this.#willLook = false;
      this.#cutOffLargest();
    });
  }

  #cutOffLargest(): void {
    let total = 0;
    for (const { bufferedBytes } of this.#connections) total += bufferedBytes;
    while (total > this.#maxBufferedBytes) {
      let largest: Connection | undefined;
      for (const each of this.#connections) if (each.bufferedBytes > (largest?.bufferedBytes ?? 0)) largest = each;
      if (largest === undefined) return;
      total -= largest.bufferedBytes;
      largest.cutOff(`all connections together keep more than ${this.#maxBufferedBytes} bytes, and it keeps most`);
    }
  }
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): FoldlogError {
  const details = { host, port, cause: error };
  switch (error.code) {
    case 'EADDRINUSE':
      return new FoldlogError(
        'PORT_TAKEN',
        `port ${port} on ${host} is taken: stop what listens there or choose another port`,
        details,
      );
    case 'EACCES':
      return new FoldlogError('OPTIONS_INVALID', `port ${port} on ${host} needs rights that this user lacks`, details);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new FoldlogError('OPTIONS_INVALID', `${host} is not an address of this machine`, details);
    default:
      return new FoldlogError('OPTIONS_INVALID', `cannot listen on ${host}:${port}: ${messageOf(error)}`, details);
  }
}
