/**
 * A client that knows nothing but requests: sends header tables and bodies to one server, and keeps what the server
 * sends by itself. For tests of servers, over LocalTransport or TCP.
 */

import { notifyConsumerIdsChangedHeader } from '../../src/protocol/headers/group.js';
import type { HeaderInput, HeaderTable } from '../../src/protocol/headers/headerFields.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { COMMAND_FLAG, PROTOCOL_VERSION, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { type ProcessorRow, processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import type { Transport } from '../../src/remoting/transport.js';

const TIMEOUT_MILLIS = 60_000;

export interface RawClientOptions {
  version?: number;
  language?: string;
  rows?: readonly ProcessorRow[];
}

export class RawClient {
  /** Groups whose members changed, as the server told us, in order. */
  readonly notified: string[] = [];
  readonly transport: Transport;
  readonly #address: string;
  readonly #sender: { version: number; language?: string };

  /**
   * @param connect makes a transport of this client's own, with the table that answers the server
   * @param options.rows answer what else the server asks; of lane `all`
   */
  constructor(
    address: string,
    connect: (table: ProcessorTable) => Transport,
    { version = PROTOCOL_VERSION, language, rows = [] }: RawClientOptions = {},
  ) {
    this.#address = address;
    this.#sender = { version, ...(language !== undefined && { language }) };
    this.transport = connect(
      new ProcessorTable({
        rows: [
          ...rows,
          processor({
            code: REQUEST_CODE.NOTIFY_CONSUMER_IDS_CHANGED,
            header: notifyConsumerIdsChangedHeader,
            lane: 'all',
            handle: ({ header }) => {
              this.notified.push(header.consumerGroup);
              return { code: 0 };
            },
          }),
        ],
        lanes: { all: { maxInFlight: 1000 } },
      }),
    );
  }

  // biome-ignore lint/suspicious/noExplicitAny: bound of a generic over header tables
  call<Table extends Record<string, any>>(
    code: number,
    table: HeaderTable<Table>,
    header: HeaderInput<Table>,
    body?: Buffer,
  ): Promise<RemotingCommand> {
    return this.callRaw(code, table.encode(header), body);
  }

  /** With header fields as they are, for what no table would encode. */
  callRaw(code: number, extFields: Record<string, string> = {}, body?: Buffer): Promise<RemotingCommand> {
    const request = { ...requestCommand(code, extFields, body), ...this.#sender };
    return this.transport.invoke(this.#address, request, TIMEOUT_MILLIS);
  }

  // biome-ignore lint/suspicious/noExplicitAny: bound of a generic over header tables
  async oneway<Table extends Record<string, any>>(
    code: number,
    table: HeaderTable<Table>,
    header: HeaderInput<Table>,
    body?: Buffer,
  ): Promise<void> {
    const request = { ...requestCommand(code, table.encode(header), body), ...this.#sender };
    await this.transport.notify(this.#address, { ...request, flag: COMMAND_FLAG.ONEWAY });
  }

  close(): Promise<void> {
    return this.transport.close();
  }
}
