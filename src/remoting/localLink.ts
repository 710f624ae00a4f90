/**
 * Clients and servers in one process without a socket: the same commands go to the same processor table. What callers
 * can observe is that of TCP: a command arrives in a later turn of the event loop, in order; it is a copy, so that
 * neither end sees what the other does to its buffers; one-way requests are not answered; timeouts, bounds and closing
 * behave alike (one contract suite runs on both). A link per server address stands for the one connection of
 * `remotingClient.ts`; other addresses go to `fallback`.
 */
import type { Clock } from '../base/clock.js';
import { systemClock } from '../base/clock.js';
import { LifecycleError, messageOf, RemotingError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { silentLogger } from '../base/logger.js';
import { assertFrameFits } from '../protocol/frame.js';
import type { HostAddress } from '../protocol/message.js';
import { packHost } from '../protocol/messageRecord.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { COMMAND_FLAG, isResponse, responseCommand } from '../protocol/remotingCommand.js';
import { CloseListeners } from './closeListeners.js';
import { nextPeerId, WRITE_HARD_BYTES, WRITE_SOFT_BYTES } from './connection.js';
import { InFlight } from './inFlight.js';
import type { Peer } from './processor.js';
import { ProcessorTable, responseFieldsOf } from './processorTable.js';
import type { Transport } from './transport.js';

/** What a command costs in an inbox beside its body. */
const COMMAND_BYTES = 512;
/** There is no port; records made by a client in the process name the loopback address. */
const LOCAL_ADDRESS: HostAddress = { host: '127.0.0.1', port: 0 };
const LOCAL_PACKED_HOST = packHost(LOCAL_ADDRESS);

interface EndOptions {
  /** How errors call the other end. */
  otherText: string;
  table: ProcessorTable;
  maxInFlight: number;
  clock: Clock;
  logger: Logger;
}

/** One end of a link; what it sends lies in the other end's inbox until the next turn. */
class LocalEnd implements Peer {
  readonly id = nextPeerId();
  readonly address = LOCAL_ADDRESS;
  readonly packedHost = LOCAL_PACKED_HOST;
  readonly #options: EndOptions;
  readonly #inFlight: InFlight;
  readonly #closeListeners = new CloseListeners();
  #other: LocalEnd | undefined;
  #inbox: RemotingCommand[] = [];
  #inboxBytes = 0;

  constructor(options: EndOptions) {
    this.#options = options;
    const { clock, maxInFlight, otherText } = options;
    this.#inFlight = new InFlight({ clock, countMax: maxInFlight, peerText: otherText });
  }

  static link(left: EndOptions, right: EndOptions): [LocalEnd, LocalEnd] {
    const ends: [LocalEnd, LocalEnd] = [new LocalEnd(left), new LocalEnd(right)];
    ends[0].#other = ends[1];
    ends[1].#other = ends[0];
    return ends;
  }

  get isOpen(): boolean {
    return this.#other !== undefined;
  }

  /** The table that answers at this end. */
  get table(): ProcessorTable {
    return this.#options.table;
  }

  invoke(request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand> {
    try {
      const other = this.#otherWithRoom();
      if (this.#inFlight.isFull) throw this.#inFlight.tooBusy();
      const copy = copyOf(request);
      const response = this.#inFlight.add(request, timeoutMillis);
      other.#post(copy);
      return response;
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  notify(request: RemotingCommand): void {
    const other = this.#other;
    if (other) other.#post({ ...copyOf(request), flag: request.flag | COMMAND_FLAG.ONEWAY });
  }

  notifyOrThrow(request: RemotingCommand): void {
    this.#otherWithRoom();
    this.notify(request);
  }

  onClose(listener: () => void): () => void {
    return this.#closeListeners.add(listener);
  }

  close(): void {
    const other = this.#other;
    if (other === undefined) return;
    this.#finish();
    // Like the last bytes on a socket: what was sent before still arrives, and then the end.
    setImmediate(() => {
      other.#drain();
      other.#finish();
    });
  }

  #otherWithRoom(): LocalEnd {
    const { otherText } = this.#options;
    const other = this.#other;
    if (other === undefined) {
      throw new RemotingError('CONNECT_FAILED', `connection to ${otherText} is closed`, { address: otherText });
    }
    if (other.#inboxBytes > WRITE_SOFT_BYTES) {
      throw new RemotingError(
        'TOO_BUSY',
        `${other.#inboxBytes} bytes to ${otherText} are unsent: send fewer at a time`,
        { address: otherText },
      );
    }
    return other;
  }

  #post(command: RemotingCommand): void {
    if (this.#inbox.length === 0) setImmediate(() => this.#drain());
    this.#inbox.push(command);
    this.#inboxBytes += COMMAND_BYTES + command.body.length;
    if (this.#inboxBytes > WRITE_HARD_BYTES) {
      this.#options.logger.warn({ peer: this.id }, 'local link cut off: more was sent in one turn than is taken');
      this.#inbox = [];
      this.#inboxBytes = 0;
      this.close();
    }
  }

  #drain(): void {
    const commands = this.#inbox;
    this.#inbox = [];
    this.#inboxBytes = 0;
    for (const command of commands) {
      if (!this.isOpen) return;
      this.#receive(command);
    }
  }

  #receive(command: RemotingCommand): void {
    if (isResponse(command)) {
      this.#inFlight.settle(command);
      return;
    }
    const answer = this.#options.table.dispatch(command, this);
    if (answer === undefined) return;
    if (answer instanceof Promise) void answer.then((response) => response && this.#respond(command, response));
    else this.#respond(command, answer);
  }

  #respond(request: RemotingCommand, response: RemotingCommand): void {
    const other = this.#other;
    if (other === undefined) return;
    let copy: RemotingCommand;
    try {
      copy = copyOf(response);
    } catch (thrown) {
      this.#options.logger.error({ peer: this.id, error: thrown }, `response cannot be sent: ${messageOf(thrown)}`);
      copy = responseCommand(request, responseFieldsOf(thrown));
    }
    other.#post(copy);
  }

  #finish(): void {
    if (this.#other === undefined) return;
    this.#other = undefined;
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#inFlight.failAll();
    this.#closeListeners.run((error) =>
      this.#options.logger.error({ peer: this.id, error }, `a close listener failed: ${messageOf(error)}`),
    );
  }
}

/** What encoding and decoding would make of it. Throws FRAME_INVALID when no frame could carry it. */
function copyOf(command: RemotingCommand): RemotingCommand {
  assertFrameFits(command);
  const { body } = command;
  return {
    ...command,
    extFields: { ...command.extFields },
    body: body.length === 0 ? body : Buffer.from(body),
  };
}

export interface LocalTransportOptions {
  /** Server address to its table. Looked up at each request: servers may come and go. */
  endpoints: ReadonlyMap<string, ProcessorTable>;
  /** Answers what servers send to us. Default: nothing is supported. */
  table?: ProcessorTable;
  /** For addresses that are not in `endpoints`; closed with this transport. */
  fallback?: Transport;
  /** Requests that wait for an answer, per link. Default 65,536. */
  maxInFlight?: number;
  clock?: Clock;
  logger?: Logger;
}

export class LocalTransport implements Transport {
  readonly #options: LocalTransportOptions;
  readonly #table: ProcessorTable;
  readonly #links = new Map<string, { client: LocalEnd; server: LocalEnd }>();
  #isClosed = false;

  constructor(options: LocalTransportOptions) {
    this.#options = options;
    this.#table = options.table ?? new ProcessorTable({ rows: [], lanes: {}, ...loggerOf(options) });
  }

  invoke(address: string, request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand> {
    try {
      const end = this.#endTo(address);
      return end
        ? end.invoke(request, timeoutMillis)
        : this.#elsewhere(address).invoke(address, request, timeoutMillis);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  async notify(address: string, request: RemotingCommand): Promise<void> {
    const end = this.#endTo(address);
    if (end) end.notifyOrThrow(request);
    else await this.#elsewhere(address).notify(address, request);
  }

  isConnected(address: string): boolean {
    return this.#links.has(address) || (this.#options.fallback?.isConnected(address) ?? false);
  }

  /** Closes the link to a server that stops: as when its socket goes away. */
  disconnect(address: string): void {
    this.#links.get(address)?.server.close();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { client } of this.#links.values()) client.close();
    await this.#options.fallback?.close();
  }

  #endTo(address: string): LocalEnd | undefined {
    if (this.#isClosed) throw new LifecycleError('the local transport is closed');
    const { endpoints, clock = systemClock, logger = silentLogger, maxInFlight = 65_536 } = this.#options;
    const table = endpoints.get(address);
    const link = this.#links.get(address);
    if (link && link.server.table === table) return link.client;
    // The server at this address is gone or another one.
    link?.server.close();
    if (table === undefined) return undefined;
    const [client, server] = LocalEnd.link(
      { otherText: address, table: this.#table, maxInFlight, clock, logger },
      { otherText: 'a client in this process', table, maxInFlight, clock, logger },
    );
    const added = { client, server };
    this.#links.set(address, added);
    const forget = () => {
      if (this.#links.get(address) === added) this.#links.delete(address);
    };
    client.onClose(forget);
    server.onClose(forget);
    return client;
  }

  #elsewhere(address: string): Transport {
    const { fallback } = this.#options;
    if (fallback) return fallback;
    throw new RemotingError('CONNECT_FAILED', `cannot connect to ${address}: no server of this process has it`, {
      address,
    });
  }
}

const loggerOf = ({ logger }: { logger?: Logger }) => (logger ? { logger } : {});
