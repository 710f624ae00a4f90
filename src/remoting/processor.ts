/**
 * What a server is made of, seen from its parts: rows that answer requests, and the peers that send them.
 * `processorTable.ts` runs the rows; a peer is a TCP connection (`connection.ts`) or a caller in the same process
 * (`localLink.ts`): processors cannot tell which.
 */
import type { HeaderOf, HeaderTable } from '../protocol/headers/headerFields.js';
import type { HostAddress } from '../protocol/message.js';
import type { RemotingCommand, ResponseFields } from '../protocol/remotingCommand.js';

/** The other end of a connection. */
export interface Peer {
  /** Unique in this process. */
  readonly id: string;
  readonly address: HostAddress;
  /** `address` as records hold it (messageRecord.ts, packHost); made once per connection. */
  readonly packedHost: Buffer;
  readonly isOpen: boolean;
  /** Sends a request and waits for its response; rejects with RemotingError. */
  invoke(request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand>;
  /** Sends a request that is not answered. Does nothing on a closed connection. */
  notify(request: RemotingCommand): void;
  /** Calls back once when the connection is gone; at once when it already is. Returns a way to forget the callback. */
  onClose(listener: () => void): () => void;
  close(): void;
}

export interface Request<Header> {
  header: Header;
  command: RemotingCommand;
  /** Empty when there is none. */
  body: Buffer;
  peer: Peer;
}

/**
 * One row of a server's table. A handler answers with a value, or a promise of it (long polling answers late).
 * What it throws becomes a response: FoldlogError FRAME_INVALID -> SYSTEM_ERROR with the message, BrokerError -> its
 * code and remark, anything else -> SYSTEM_ERROR and a log line.
 */
// biome-ignore lint/suspicious/noExplicitAny: rows of many header types stand in one table
export interface ProcessorRow<Table extends Record<string, any> = any> {
  readonly code: number;
  readonly header: HeaderTable<Table>;
  /** Rows of one lane share a bound on requests in flight; over it the answer is SYSTEM_BUSY at once. */
  readonly lane: string;
  handle(request: Request<HeaderOf<Table>>): ResponseFields | Promise<ResponseFields>;
}

/** Ties a row's handler to its header table, so that the compiler checks one against the other. */
// biome-ignore lint/suspicious/noExplicitAny: bound of a generic over header tables
export function processor<const Table extends Record<string, any>>(row: ProcessorRow<Table>): ProcessorRow {
  return row as ProcessorRow;
}
