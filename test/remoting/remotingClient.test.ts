/** What only a client with sockets does: sharing and losing connections, and servers that misbehave. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeFrame } from '../../src/protocol/frame.js';
import { emptyHeader } from '../../src/protocol/headers/messaging.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { WRITE_SOFT_BYTES } from '../../src/remoting/connection.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import { parseAddress, RemotingClient } from '../../src/remoting/remotingClient.js';
import { RemotingServer } from '../../src/remoting/remotingServer.js';
import { ManualClock } from '../support/manualClock.js';

const CODE = 34;
const closes: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

/** A server of bare sockets. */
async function listen(
  onSocket: (socket: Socket) => void,
): Promise<{ address: string; sockets: Socket[]; tcp: Server }> {
  const sockets: Socket[] = [];
  const tcp = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  closes.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => tcp.close(resolve));
  });
  const bound = tcp.address();
  return { address: `127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}`, sockets, tcp };
}

function clientWith(options: ConstructorParameters<typeof RemotingClient>[0] = {}): RemotingClient {
  const client = new RemotingClient(options);
  closes.push(() => client.close());
  return client;
}

describe('RemotingClient', () => {
  it('makes one connection for callers who come at the same time', async () => {
    const table = new ProcessorTable({
      lanes: { only: { maxInFlight: 10 } },
      rows: [processor({ code: CODE, header: emptyHeader, lane: 'only', handle: () => ({ code: 0 }) })],
    });
    const server = await RemotingServer.listen({ port: 0, table });
    closes.push(() => server.close());
    const client = clientWith();
    const address = `127.0.0.1:${server.address.port}`;
    await Promise.all(Array.from({ length: 20 }, () => client.invoke(address, requestCommand(CODE), 3000)));
    expect(server.connectionCount).toBe(1);
  });

  it('closes a connection that brings no frames and fails what waits', async () => {
    const { address } = await listen((socket) =>
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')),
    );
    await expect(clientWith().invoke(address, requestCommand(CODE), 3000)).rejects.toMatchObject({
      code: 'CONNECTION_CLOSED',
    });
  });

  it('fails what waits at once when the server drops the connection', async () => {
    const { address } = await listen((socket) => socket.on('data', () => socket.destroy()));
    const client = clientWith({ clock: new ManualClock() });
    await expect(client.invoke(address, requestCommand(CODE), 3000)).rejects.toMatchObject({
      code: 'CONNECTION_CLOSED',
      mayHaveBeenExecuted: true,
    });
    expect(client.isConnected(address)).toBe(false);
  });

  it('answers a request of the server that it does not know with 3', async () => {
    const answers: Buffer[] = [];
    const { address, sockets } = await listen((socket) => socket.on('data', (chunk) => answers.push(chunk)));
    const client = clientWith();
    await client.notify(address, requestCommand(CODE));
    await expect.poll(() => answers.length).toBe(1);
    sockets[0]?.write(encodeFrame(requestCommand(220)));
    await expect.poll(() => Buffer.concat(answers).toString()).toContain(' request type 220 not supported');
  });

  it('gives up after the connect timeout, and earlier when the request has less time', async () => {
    const clock = new ManualClock();
    const client = clientWith({ clock, connectTimeoutMillis: 500 });
    // The clock moves before the event loop gets to finish the connection.
    const { address } = await listen(() => {});
    const outcome = client.invoke(address, requestCommand(CODE), 3000).catch((error) => error);
    const sooner = client.invoke(address, requestCommand(CODE), 100).catch((error) => error);
    clock.advance(100);
    clock.advance(400);
    expect(await sooner).toMatchObject({ code: 'CONNECT_FAILED', mayHaveBeenExecuted: false });
    expect(await outcome).toMatchObject({ code: 'CONNECT_FAILED' });
    expect(clock.pendingCount).toBe(0);
  });

  it('refuses requests while too many bytes are unsent', async () => {
    const { address } = await listen((socket) => socket.pause());
    const client = clientWith({ clock: new ManualClock() });
    await client.notify(address, requestCommand(CODE));
    const body = Buffer.alloc(4 * 1024 * 1024);
    const outcomes: Promise<unknown>[] = [];
    for (let bytes = 0; bytes <= 4 * WRITE_SOFT_BYTES; bytes += body.length) {
      outcomes.push(client.invoke(address, requestCommand(CODE, {}, body), 3000).catch((error) => error.code));
    }
    expect(await outcomes.at(-1)).toBe('TOO_BUSY');
    await expect(client.notify(address, requestCommand(CODE))).rejects.toMatchObject({ code: 'TOO_BUSY' });
    await client.close();
    expect(await outcomes[0]).toBe('CONNECTION_CLOSED');
  });

  it('fails what waits for a connection when it is closed', async () => {
    const { address } = await listen(() => {});
    const client = clientWith({ clock: new ManualClock() });
    const outcome = client.invoke(address, requestCommand(CODE), 3000).catch((error) => error.code);
    await client.close();
    expect(await outcome).toBe('CONNECT_FAILED');
  });
});

describe('parseAddress', () => {
  it.each([
    ['127.0.0.1:9876', { host: '127.0.0.1', port: 9876 }],
    ['broker-a.example:1', { host: 'broker-a.example', port: 1 }],
    ['[::1]:10911', { host: '::1', port: 10911 }],
  ])('reads %s', (address, expected) => expect(parseAddress(address)).toEqual(expected));

  it.each(['', '127.0.0.1', ':9876', 'a:', 'a:b', 'a:65536', 'a:-1', '[]:1'])('refuses %j', (address) => {
    expect(() => parseAddress(address)).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
  });
});
