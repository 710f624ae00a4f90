/**
 * A client that knows nothing but requests: sends header tables and bodies to one server, and keeps what the server
 * sends by itself. For tests of servers, over LocalTransport or TCP.
 */

import { notifyConsumerIdsChangedHeader } from '../../src/protocol/headers/group.js';
import type { HeaderInput, HeaderTable } from '../../src/protocol/headers/headerFields.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { COMMAND_FLAG, PROTOCOL_VERSION, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import type { Transport } from '../../src/remoting/transport.js';

const TIMEOUT_MILLIS = 60_000;

export class RawClient {
  /** Groups whose members changed, as the server told us, in order. */
  readonly notified: string[] = [];
  readonly transport: Transport;
  readonly #address: string;
  readonly #version: number;

  /** @param connect makes a transport of this client's own, with the table that answers the server */
  constructor(
    address: string,
    connect: (table: ProcessorTable) => Transport,
    { version = PROTOCOL_VERSION }: { version?: number } = {},
  ) {
    this.#address = address;
    this.#version = version;
    this.transport = connect(
      new ProcessorTable({
        rows: [
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
    const request = { ...requestCommand(code, extFields, body), version: this.#version };
    return this.transport.invoke(this.#address, request, TIMEOUT_MILLIS);
  }

  // biome-ignore lint/suspicious/noExplicitAny: bound of a generic over header tables
  async oneway<Table extends Record<string, any>>(
    code: number,
    table: HeaderTable<Table>,
    header: HeaderInput<Table>,
    body?: Buffer,
  ): Promise<void> {
    const request = { ...requestCommand(code, table.encode(header), body), version: this.#version };
    await this.transport.notify(this.#address, { ...request, flag: COMMAND_FLAG.ONEWAY });
  }

  close(): Promise<void> {
    return this.transport.close();
  }
}
