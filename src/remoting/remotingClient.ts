/**
 * Reaches servers over TCP: one connection per address, made when it is first needed and again after it was lost.
 * Callers who come while it is being made share it. The timeout of a request includes making the connection.
 * Upstream: `NettyRemotingClient`.
 */
import { connect, type Socket } from 'node:net';
import type { Clock } from '../base/clock.js';
import { systemClock } from '../base/clock.js';
import { LifecycleError, OptionsError, RemotingError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { silentLogger } from '../base/logger.js';
import { MAX_FRAME_BYTES } from '../protocol/frame.js';
import type { HostAddress } from '../protocol/message.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { Connection } from './connection.js';
import { ProcessorTable } from './processorTable.js';
import type { Transport } from './transport.js';

export interface RemotingClientOptions {
  /** Answers what servers send to us (remoting requests of a broker to its client). Default: nothing is supported. */
  table?: ProcessorTable;
  /** Default 3,000. */
  connectTimeoutMillis?: number;
  /** Requests that wait for an answer, per connection. Default 65,536. */
  maxInFlight?: number;
  /** Default 16 MiB. */
  maxFrameBytes?: number;
  /** Default 120,000. */
  idleMillis?: number;
  clock?: Clock;
  logger?: Logger;
}

export class RemotingClient implements Transport {
  readonly #options: Required<RemotingClientOptions>;
  readonly #open = new Map<string, Connection>();
  readonly #opening = new Map<string, { connection: Promise<Connection>; waiters: number; socket: Socket }>();
  #isClosed = false;

  constructor(options: RemotingClientOptions = {}) {
    const { logger = silentLogger } = options;
    this.#options = {
      table: new ProcessorTable({ rows: [], lanes: {}, logger }),
      connectTimeoutMillis: 3000,
      maxInFlight: 65_536,
      maxFrameBytes: MAX_FRAME_BYTES,
      idleMillis: 120_000,
      clock: systemClock,
      logger,
      ...options,
    };
  }

  invoke(address: string, request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand> {
    const connection = this.#open.get(address);
    if (connection) return connection.invoke(request, timeoutMillis);
    const { clock } = this.#options;
    const start = clock.monotonic();
    return this.#connectionTo(address, timeoutMillis).then((opened) =>
      opened.invoke(request, Math.max(0, timeoutMillis - (clock.monotonic() - start))),
    );
  }

  async notify(address: string, request: RemotingCommand): Promise<void> {
    const connection = this.#open.get(address) ?? (await this.#connectionTo(address));
    connection.notifyOrThrow(request);
  }

  isConnected(address: string): boolean {
    return this.#open.has(address);
  }

  /** Requests in flight fail at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { socket } of this.#opening.values()) socket.destroy();
    for (const connection of this.#open.values()) connection.close();
  }

  #connectionTo(address: string, timeoutMillis = this.#options.connectTimeoutMillis): Promise<Connection> {
    if (this.#isClosed) return Promise.reject(new LifecycleError('the remoting client is closed'));
    let opening = this.#opening.get(address);
    if (opening === undefined) {
      let target: HostAddress;
      try {
        target = parseAddress(address);
      } catch (thrown) {
        return Promise.reject(thrown);
      }
      const socket = connect({ ...target, noDelay: true });
      opening = { connection: this.#connect(address, socket), waiters: 0, socket };
      this.#opening.set(address, opening);
    }
    if (opening.waiters >= this.#options.maxInFlight) {
      return Promise.reject(
        new RemotingError('TOO_BUSY', `${opening.waiters} requests wait for a connection to ${address}`, { address }),
      );
    }
    opening.waiters += 1;
    return timeoutMillis >= this.#options.connectTimeoutMillis
      ? opening.connection
      : this.#within(timeoutMillis, address, opening.connection);
  }

  /** A request with less time than the connection may take gives up on its own. */
  #within(timeoutMillis: number, address: string, connection: Promise<Connection>): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.after(timeoutMillis, () =>
        reject(connectFailed(address, `no connection within ${timeoutMillis} ms`)),
      );
      connection.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  #connect(address: string, socket: Socket): Promise<Connection> {
    const { clock, connectTimeoutMillis, table, maxFrameBytes, maxInFlight, idleMillis, logger } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = () => {
        timer.cancel();
        socket.removeListener('error', onError);
        socket.removeListener('close', onClose);
        this.#opening.delete(address);
      };
      const fail = (reason: string, cause?: unknown) => {
        settle();
        socket.on('error', () => {});
        socket.destroy();
        reject(connectFailed(address, reason, cause));
      };
      const onError = (error: Error) => fail(error.message, error);
      const onClose = () => fail('closed while it was being made');
      const timer = clock.after(connectTimeoutMillis, () => fail(`no connection within ${connectTimeoutMillis} ms`), {
        keepAlive: true,
      });
      socket.once('error', onError);
      socket.once('close', onClose);
      socket.once('connect', () => {
        settle();
        const connection = new Connection({
          socket,
          side: 'client',
          table,
          maxFrameBytes,
          maxInFlight,
          idleMillis,
          clock,
          logger,
        });
        this.#open.set(address, connection);
        connection.onClose(() => {
          if (this.#open.get(address) === connection) this.#open.delete(address);
        });
        resolve(connection);
      });
    });
  }
}

function connectFailed(address: string, reason: string, cause?: unknown): RemotingError {
  return new RemotingError('CONNECT_FAILED', `cannot connect to ${address}: ${reason}`, {
    address,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** `host:port`; an IPv6 host may stand in brackets. Throws OptionsError. */
export function parseAddress(address: string): HostAddress {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(colon + 1));
  if (colon < 1 || host === '' || !/:\d{1,5}$/.test(address) || port > 65535) {
    throw new OptionsError(`address ${JSON.stringify(address)} is not host:port`, { address });
  }
  return { host, port };
}
