/**
 * Runs a server's rows: finds the row of a request code, admits the request to the row's lane, decodes the header,
 * calls the handler and makes exactly one response of whatever comes back; a one-way request gets none. A handler
 * that answers with a value costs no promise. Lanes bound what is answered later (long polls, appends that wait for a
 * sync): over the bound the answer is SYSTEM_BUSY at once, never a growing queue.
 *
 * What is thrown becomes a response in one place, {@link responseFieldsOf}. Upstream:
 * `NettyRemotingAbstract.processRequestCommand`.
 */
import { assert } from '../base/assert.js';
import { BrokerError, FoldlogError, messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { silentLogger } from '../base/logger.js';
import type { RemotingCommand, ResponseFields } from '../protocol/remotingCommand.js';
import { isOneway, responseCommand } from '../protocol/remotingCommand.js';
import { requestCodeName } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { Peer, ProcessorRow } from './processor.js';

interface Lane {
  readonly maxInFlight: number;
  inFlight: number;
}

export interface ProcessorTableOptions {
  rows: readonly ProcessorRow[];
  /** Every lane that a row names. */
  lanes: Readonly<Record<string, { maxInFlight: number }>>;
  logger?: Logger;
}

export class ProcessorTable {
  readonly #rows = new Map<number, { row: ProcessorRow; lane: Lane }>();
  readonly #logger: Logger;

  constructor({ rows, lanes, logger = silentLogger }: ProcessorTableOptions) {
    this.#logger = logger;
    const laneOf = new Map<string, Lane>(
      Object.entries(lanes).map(([name, { maxInFlight }]) => [name, { maxInFlight, inFlight: 0 }]),
    );
    for (const row of rows) {
      const lane = laneOf.get(row.lane);
      assert(lane, `lane ${row.lane} of request ${requestCodeName(row.code)} is in the table's lanes`);
      assert(!this.#rows.has(row.code), `request ${requestCodeName(row.code)} has one row`);
      this.#rows.set(row.code, { row, lane });
    }
  }

  /** The request codes that have a row. */
  get codes(): number[] {
    return [...this.#rows.keys()];
  }

  /** The response to send, now or later; undefined when there is none to send. Never throws, never rejects. */
  dispatch(command: RemotingCommand, peer: Peer): RemotingCommand | undefined | Promise<RemotingCommand | undefined> {
    const entry = this.#rows.get(command.code);
    if (entry === undefined) return answer(command, notSupported(command.code));
    const { row, lane } = entry;
    if (lane.inFlight >= lane.maxInFlight) return answer(command, BUSY);
    try {
      const header = row.header.decode(command.extFields);
      const result = row.handle({ header, command, body: command.body, peer });
      if (!(result instanceof Promise)) return answer(command, result);
      lane.inFlight += 1;
      return result.then(
        (fields) => {
          lane.inFlight -= 1;
          return answer(command, fields);
        },
        (thrown) => {
          lane.inFlight -= 1;
          return answer(command, this.#refusal(command, peer, thrown));
        },
      );
    } catch (thrown) {
      return answer(command, this.#refusal(command, peer, thrown));
    }
  }

  #refusal(command: RemotingCommand, peer: Peer, thrown: unknown): ResponseFields {
    if (!isExpected(thrown)) {
      const request = requestCodeName(command.code);
      this.#logger.error({ request, peer: peer.id, error: thrown }, `request ${request} failed: ${messageOf(thrown)}`);
    }
    return responseFieldsOf(thrown);
  }
}

const answer = (command: RemotingCommand, fields: ResponseFields): RemotingCommand | undefined =>
  isOneway(command) ? undefined : responseCommand(command, fields);

/** The answer to a request that a bound keeps out; none to a one-way one. */
export const busyAnswer = (command: RemotingCommand): RemotingCommand | undefined => answer(command, BUSY);

const BUSY: ResponseFields = {
  code: RESPONSE_CODE.SYSTEM_BUSY,
  remark: '[OVERLOAD]system busy, start flow control for a while',
};

const notSupported = (code: number): ResponseFields => ({
  code: RESPONSE_CODE.REQUEST_CODE_NOT_SUPPORTED,
  // The blank in front is upstream's.
  remark: ` request type ${code} not supported`,
});

const isExpected = (thrown: unknown): boolean =>
  thrown instanceof BrokerError || (thrown instanceof FoldlogError && thrown.code === 'FRAME_INVALID');

/** What a caller is told of an error: a BrokerError's code and remark, else SYSTEM_ERROR and the message. */
export function responseFieldsOf(thrown: unknown): ResponseFields {
  if (thrown instanceof BrokerError) return { code: thrown.responseCode, remark: thrown.remark };
  return { code: RESPONSE_CODE.SYSTEM_ERROR, remark: messageOf(thrown) };
}
