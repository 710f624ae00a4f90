/**
 * What the broker asks of its clients on their own connections, and how their answers fare: the one place for all
 * relays (running info, direct consumption, consumer status, pushed replies). A question ends in an answer, a timeout
 * or a failure, never in an exception; how many may be under way is bounded per connection and by the lane of the
 * request that causes it. Upstream: `Broker2Client`.
 */
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { COMMAND_FLAG, requestCommand } from '../protocol/remotingCommand.js';
import type { Peer } from '../remoting/processor.js';

/** How long a client may take to look something up, consume one message or hand a reply on. */
export const RELAY_TIMEOUT_MILLIS = 10_000;
/** How long a client may take to tell its offsets. */
export const STATUS_TIMEOUT_MILLIS = 5000;

/** First client versions (V3_0_7_SNAPSHOT, V3_1_8_SNAPSHOT) that answer about offsets, and about running consumers. */
export const OFFSET_REQUESTS_SINCE = 28;
export const CONSUMER_REQUESTS_SINCE = 62;

export interface ClientQuestion {
  code: number;
  extFields: Record<string, string>;
  body?: Buffer;
  timeoutMillis: number;
}

export type ClientAnswer =
  | { status: 'ANSWERED'; response: RemotingCommand }
  | { status: 'TIMEOUT'; reason: string }
  /** The connection went away, or takes nothing now. */
  | { status: 'FAILED'; reason: string };

/** Asks and waits; never rejects. */
export async function askClient(peer: Peer, question: ClientQuestion): Promise<ClientAnswer> {
  const { code, extFields, body, timeoutMillis } = question;
  try {
    return { status: 'ANSWERED', response: await peer.invoke(commandOf(code, extFields, body), timeoutMillis) };
  } catch (thrown) {
    const isLate = isFoldlogError(thrown) && thrown.code === 'REQUEST_TIMEOUT';
    return { status: isLate ? 'TIMEOUT' : 'FAILED', reason: messageOf(thrown) };
  }
}

/** Tells a client without asking for an answer. */
export function tellClient(peer: Peer, code: number, extFields: Record<string, string>, body?: Buffer): void {
  const command = commandOf(code, extFields, body);
  command.flag = COMMAND_FLAG.ONEWAY;
  peer.notify(command);
}

/** A request of a server, whose language clients expect to be Java's. */
function commandOf(code: number, extFields: Record<string, string>, body: Buffer | undefined): RemotingCommand {
  const command = requestCommand(code, extFields, body);
  command.language = 'JAVA';
  return command;
}
