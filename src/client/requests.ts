/**
 * One request to one server, seen from the client: fills the command, waits, and turns any answer but success into a
 * BrokerError that names the request, the address and the server's remark. All typed calls rest on it.
 */
import { BrokerError } from '../base/errors.js';
import { COMMAND_FLAG, type RemotingCommand, requestCommand } from '../protocol/remotingCommand.js';
import { requestCodeName } from '../protocol/requestCodes.js';
import { RESPONSE_CODE, responseCodeName } from '../protocol/responseCodes.js';
import type { Transport } from '../remoting/transport.js';

/** Answers after which the same request may succeed, here or elsewhere. Upstream: `DefaultMQProducer.retryResponseCodes`. */
const RETRIABLE: ReadonlySet<number> = new Set([
  RESPONSE_CODE.TOPIC_NOT_EXIST,
  RESPONSE_CODE.SERVICE_NOT_AVAILABLE,
  RESPONSE_CODE.SYSTEM_ERROR,
  RESPONSE_CODE.SYSTEM_BUSY,
  RESPONSE_CODE.NO_PERMISSION,
  RESPONSE_CODE.NO_BUYER_ID,
  RESPONSE_CODE.NOT_IN_CURRENT_UNIT,
  RESPONSE_CODE.GO_AWAY,
]);

export interface RequestParts {
  code: number;
  extFields?: Record<string, string>;
  body?: Buffer;
  /** Default: the session's. */
  timeoutMillis?: number | undefined;
}

export class Requests {
  readonly #transport: Transport;
  readonly #timeoutMillis: number;

  constructor({ transport, timeoutMillis }: { transport: Transport; timeoutMillis: number }) {
    this.#transport = transport;
    this.#timeoutMillis = timeoutMillis;
  }

  /** Resolves with a response of any code. Rejects with RemotingError. */
  invoke(address: string, { code, extFields, body, timeoutMillis }: RequestParts): Promise<RemotingCommand> {
    return this.#transport.invoke(address, requestCommand(code, extFields, body), timeoutMillis ?? this.#timeoutMillis);
  }

  /** Resolves with a response of code SUCCESS; rejects with BrokerError for any other. */
  async ask(address: string, parts: RequestParts): Promise<RemotingCommand> {
    const response = await this.invoke(address, parts);
    if (response.code !== RESPONSE_CODE.SUCCESS) throw refusal(address, parts.code, response);
    return response;
  }

  /** Sends without an answer. */
  tell(address: string, { code, extFields, body }: RequestParts): Promise<void> {
    const command = requestCommand(code, extFields, body);
    command.flag |= COMMAND_FLAG.ONEWAY;
    return this.#transport.notify(address, command);
  }
}

/** The error that a response of another code than SUCCESS stands for. */
export function refusal(
  address: string,
  requestCode: number,
  response: Pick<RemotingCommand, 'code' | 'remark'>,
): BrokerError {
  const remark = response.remark ?? '';
  return new BrokerError(
    response.code,
    remark,
    `${address} answered ${requestCodeName(requestCode)} with ${responseCodeName(response.code)}: ${remark || 'no remark'}`,
    { retriable: RETRIABLE.has(response.code), address, responseCode: response.code },
  );
}

/** Is this the answer of a server with this response code? */
export function isRefusal(thrown: unknown, responseCode: number): thrown is BrokerError {
  return thrown instanceof BrokerError && thrown.responseCode === responseCode;
}
