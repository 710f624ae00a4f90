/**
 * How a client reaches servers by address: over TCP (`remotingClient.ts`) or inside the process (`localLink.ts`,
 * which runs the same processor table on the same commands). Code above cannot tell which.
 */
import type { RemotingCommand } from '../protocol/remotingCommand.js';

export interface Transport {
  /** Sends a request to `host:port` and waits. Rejects with RemotingError; a response of any code resolves. */
  invoke(address: string, request: RemotingCommand, timeoutMillis: number): Promise<RemotingCommand>;
  /** Resolves once the request was handed to the connection. */
  notify(address: string, request: RemotingCommand): Promise<void>;
  /** Is there a usable connection to this address now? */
  isConnected(address: string): boolean;
  close(): Promise<void>;
}
