/** A server seen from a bare socket: bytes as other clients send them, bytes that are no frame, and its bounds. */
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../src/base/logger.js';
import { silentLogger } from '../../src/base/logger.js';
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.js';
import { defineHeader, optional } from '../../src/protocol/headers/headerFields.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { WRITE_HARD_BYTES, WRITE_SOFT_BYTES } from '../../src/remoting/connection.js';
import { FrameDecoder } from '../../src/remoting/frameDecoder.js';
import type { Peer } from '../../src/remoting/processor.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import type { RemotingServerOptions } from '../../src/remoting/remotingServer.js';
import { RemotingServer } from '../../src/remoting/remotingServer.js';
import { ManualClock } from '../support/manualClock.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);
const ECHO = 105;
const BIG = 106;
const BIG_BYTES = 1024 * 1024;

const closes: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

async function startServer(options: Partial<RemotingServerOptions> = {}) {
  const peers: Peer[] = [];
  const served: RemotingCommand[] = [];
  const warnings: string[] = [];
  const header = defineHeader({ topic: optional.string });
  const table = new ProcessorTable({
    lanes: { only: { maxInFlight: 100 } },
    rows: [
      processor({
        code: ECHO,
        header,
        lane: 'only',
        handle({ command, peer, body }) {
          if (!peers.includes(peer)) peers.push(peer);
          served.push(command);
          return { code: 0, extFields: command.extFields, body };
        },
      }),
      processor({
        code: BIG,
        header,
        lane: 'only',
        handle({ command, peer }) {
          if (!peers.includes(peer)) peers.push(peer);
          served.push(command);
          return { code: 0, body: Buffer.alloc(BIG_BYTES) };
        },
      }),
    ],
  });
  const logger: Logger = { ...silentLogger, warn: (_, message) => warnings.push(message) };
  const server = await RemotingServer.listen({ port: 0, table, logger, ...options });
  closes.push(() => server.close());
  return { server, peers, served, warnings, table };
}

async function openSocket(
  server: RemotingServer,
): Promise<Socket & { ended: Promise<void>; frames: RemotingCommand[] }> {
  const socket = connect(server.address);
  const frames: RemotingCommand[] = [];
  const decoder = new FrameDecoder(16 * 1024 * 1024);
  socket.on('data', (chunk) => decoder.push(chunk, (frame) => frames.push(decodeFrame(frame))));
  socket.on('error', () => {});
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  closes.push(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return Object.assign(socket, { ended, frames });
}

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

describe('RemotingServer', () => {
  it('answers the JSON and the binary form of a request on one connection, in whatever chunks', async () => {
    const { server } = await startServer();
    const socket = await openSocket(server);
    const header =
      '{"code":105,"extFields":{"topic":"TopicA"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":513}';
    const bytes = Buffer.concat([
      hex('00000084 00000080'),
      Buffer.from(header),
      hex(`0000002a 01000026  0069 00 0201 00000008 00000000 00000000 00000011
        0005 746f706963 00000006 546f70696341`),
    ]);
    for (const byte of bytes) socket.write(Buffer.from([byte]));
    await expect.poll(() => socket.frames.length).toBe(2);
    expect(socket.frames).toMatchObject([
      { code: 0, opaque: 7, flag: 1, language: 'JAVA', extFields: { topic: 'TopicA' }, serializeType: 'JSON' },
      { code: 0, opaque: 8, flag: 1, extFields: { topic: 'TopicA' }, serializeType: 'ROCKETMQ' },
    ]);
  });

  it.each([
    ['a length beyond the limit', '01000001 00000000'],
    ['a negative length', 'ffffffff 00000000'],
    ['a header longer than its frame', '00000006 00000080 7b7d'],
    ['an unknown header type', '00000006 05000002 7b7d'],
    ['a header that is not JSON', '00000006 00000002 7b78'],
    ['the first bytes of TLS', '160301020001'],
  ])('closes a connection that sends %s, without an answer, and serves the others', async (_, bytes) => {
    const { server, warnings } = await startServer();
    const other = await openSocket(server);
    const socket = await openSocket(server);
    socket.write(hex(bytes));
    await socket.ended;
    expect(socket.frames).toEqual([]);
    expect(warnings).toHaveLength(1);
    other.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => other.frames.length).toBe(1);
  });

  it('answers the requests before a bad frame', async () => {
    const { server, served } = await startServer();
    const socket = await openSocket(server);
    socket.write(Buffer.concat([encodeFrame(requestCommand(ECHO)), hex('ffffffff')]));
    await socket.ended;
    expect(served).toHaveLength(1);
  });

  it('forgets a frame that was cut off by the end of the connection', async () => {
    const gone: Peer[] = [];
    const { server, served } = await startServer({ onPeerClose: (peer) => gone.push(peer) });
    const socket = await openSocket(server);
    const frame = encodeFrame(requestCommand(ECHO));
    socket.end(frame.subarray(0, frame.length - 1));
    await socket.ended;
    await expect.poll(() => gone.length).toBe(1);
    expect(served).toEqual([]);
    expect(server.connectionCount).toBe(0);
  });

  it('survives random bytes', async () => {
    const { server } = await startServer();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const socket = await openSocket(server);
        socket.end(bytes);
        await socket.ended;
        expect(socket.frames).toEqual([]);
      }),
      { numRuns: Math.min(runs, 100) },
    );
    const socket = await openSocket(server);
    socket.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => socket.frames.length).toBe(1);
  });

  it('says in one line that its port is taken', async () => {
    const { server, table } = await startServer();
    const { port } = server.address;
    await expect(RemotingServer.listen({ port, table })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: `port ${port} on 127.0.0.1 is taken: stop what listens there or choose another port`,
    });
    await expect(RemotingServer.listen({ port: 0, host: '192.0.2.1', table })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
    });
    await server.close();
    const again = await RemotingServer.listen({ port, table });
    closes.push(() => again.close());
    expect(again.address).toEqual({ host: '127.0.0.1', port });
  });

  it('drops connections over the bound and takes new ones when there is room', async () => {
    const { server, warnings } = await startServer({ maxConnections: 2 });
    const first = await openSocket(server);
    await openSocket(server);
    await expect.poll(() => server.connectionCount).toBe(2);
    const third = await openSocket(server);
    await third.ended;
    expect(warnings).toEqual(['connection refused: 2 are open already']);
    first.destroy();
    await expect.poll(() => server.connectionCount).toBe(1);
    const fourth = await openSocket(server);
    fourth.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => fourth.frames.length).toBe(1);
  });

  it('closes a connection after two minutes without a byte, and only then', async () => {
    const clock = new ManualClock();
    const { server, peers } = await startServer({ clock });
    const idle = await openSocket(server);
    const busy = await openSocket(server);
    await expect.poll(() => server.connectionCount).toBe(2);
    clock.advance(100_000);
    busy.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => busy.frames.length).toBe(1);
    clock.advance(20_000);
    await idle.ended;
    expect(server.connectionCount).toBe(1);
    expect(peers[0]?.isOpen).toBe(true);
    clock.advance(120_000);
    await busy.ended;
  });

  it('stops reading from a peer that does not read, and goes on when it does', async () => {
    const { server, served } = await startServer();
    const socket = await openSocket(server);
    socket.pause();
    const asked = 60;
    // Few enough bytes for one chunk: the server must stop in its midst.
    socket.write(Buffer.concat(Array.from({ length: asked }, () => encodeFrame(requestCommand(BIG)))));
    await expect.poll(() => served.length).toBeGreaterThanOrEqual(WRITE_SOFT_BYTES / BIG_BYTES);
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    // What the kernel holds for both ends comes on top of the bound.
    expect(served.length).toBeLessThan(asked);
    socket.resume();
    await expect.poll(() => socket.frames.length, { timeout: 10_000 }).toBe(asked);
  });

  it('cuts off a peer that is sent more than the hard bound without reading', async () => {
    const { server, peers, warnings } = await startServer();
    const socket = await openSocket(server);
    socket.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => peers.length).toBe(1);
    socket.pause();
    const news = requestCommand(ECHO, {}, Buffer.alloc(8 * BIG_BYTES));
    for (let bytes = 0; bytes <= WRITE_HARD_BYTES + 16 * BIG_BYTES && peers[0]?.isOpen; bytes += 8 * BIG_BYTES) {
      peers[0]?.notify(news);
    }
    expect(peers[0]?.isOpen).toBe(false);
    expect(warnings).toHaveLength(1);
    socket.resume();
    await socket.ended;
  });

  it('sends what is queued before it closes', async () => {
    const { server, peers } = await startServer();
    const socket = await openSocket(server);
    socket.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => peers.length).toBe(1);
    peers[0]?.notify(requestCommand(ECHO, { topic: 'last words' }));
    await server.close();
    await socket.ended;
    expect(socket.frames.at(-1)?.extFields['topic']).toBe('last words');
  });

  it('ignores answers that nobody waits for', async () => {
    const { server, served } = await startServer();
    const socket = await openSocket(server);
    socket.write(encodeFrame({ ...requestCommand(0), flag: 1 }));
    socket.write(encodeFrame(requestCommand(ECHO)));
    await expect.poll(() => socket.frames.length).toBe(1);
    expect(served).toHaveLength(1);
  });
});
