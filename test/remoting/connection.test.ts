/**
 * Writes to the socket, counted where they are handed over: the receiver cannot tell, since the kernel joins small
 * ones. The sockets are real; the counter passes everything on.
 */
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLogger } from '../../src/base/logger.js';
import { encodeFrame, MAX_FRAME_BYTES } from '../../src/protocol/frame.js';
import { emptyHeader } from '../../src/protocol/headers/messaging.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { Connection } from '../../src/remoting/connection.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';

const CODE = 34;
/** Answered when the test settles it. */
const LATER = 35;
const closes: (() => void)[] = [];
afterEach(() => {
  for (const close of closes.splice(0).reverse()) close();
});

/** A server's connection whose socket writes are counted, and the other end of it. */
async function connected(bodyBytes: number) {
  const tcp = createServer();
  const accepted = new Promise<Socket>((resolve) => tcp.once('connection', resolve));
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  const bound = tcp.address();
  const other = connect(typeof bound === 'object' && bound ? bound.port : 0, '127.0.0.1');
  const socket = await accepted;
  let writes = 0;
  let corks = 0;
  const write = socket.write.bind(socket) as (bytes: Buffer) => boolean;
  const cork = socket.cork.bind(socket);
  socket.write = (bytes: unknown) => {
    if (socket.writableCorked === 0) writes += 1;
    return write(bytes as Buffer);
  };
  socket.cork = () => {
    corks += 1;
    cork();
  };
  const settle: (() => void)[] = [];
  const table = new ProcessorTable({
    lanes: { only: { maxInFlight: 100 } },
    rows: [
      processor({
        code: LATER,
        header: emptyHeader,
        lane: 'only',
        handle: () => new Promise((resolve) => settle.push(() => resolve({ code: 0 }))),
      }),
      processor({
        code: CODE,
        header: emptyHeader,
        lane: 'only',
        handle: () => ({ code: 0, body: Buffer.alloc(bodyBytes) }),
      }),
    ],
  });
  const connection = new Connection({
    socket,
    side: 'server',
    table,
    maxFrameBytes: MAX_FRAME_BYTES,
    maxInFlight: 10,
    idleMillis: 120_000,
    clock: systemClock,
    logger: silentLogger,
  });
  let received = 0;
  other.on('data', (chunk) => {
    received += chunk.length;
  });
  closes.push(
    () => tcp.close(),
    () => connection.close(),
    () => other.destroy(),
  );
  return { connection, other, settle, counted: () => ({ writes, corks }), received: () => received };
}

describe('Connection', () => {
  it('sends the answers of one turn in one write', async () => {
    const { other, counted, received } = await connected(0);
    const requests = Array.from({ length: 200 }, () => encodeFrame(requestCommand(CODE)));
    // One chunk at the other end, hence one turn.
    other.write(Buffer.concat(requests));
    const answerBytes = 200 * 80;
    await expect.poll(received).toBeGreaterThan(answerBytes);
    expect(counted()).toEqual({ writes: 1, corks: 0 });
  });

  it('sends answers that one event settles in one write, before the event loop goes on', async () => {
    const { other, settle, counted, received } = await connected(0);
    other.write(Buffer.concat(Array.from({ length: 50 }, () => encodeFrame(requestCommand(LATER)))));
    await expect.poll(() => settle.length).toBe(50);
    const inNextRound = await new Promise<{ writes: number }>((resolve) => {
      setImmediate(() => {
        setImmediate(() => resolve(counted()));
        for (const each of settle) each();
      });
    });
    expect(inNextRound).toEqual({ writes: 1, corks: 0 });
    await expect.poll(received).toBeGreaterThan(50 * 80);
    expect(counted().writes).toBe(1);
  });

  it('joins what processors send by themselves in the same turn', async () => {
    const { connection, counted, received } = await connected(0);
    for (let count = 0; count < 50; count += 1) connection.notify(requestCommand(CODE));
    expect(counted().writes).toBe(0);
    await expect.poll(received).toBeGreaterThan(50 * 80);
    expect(counted()).toEqual({ writes: 1, corks: 0 });
  });

  it('hands over large frames together without copying them', async () => {
    const { connection, counted, received } = await connected(0);
    const body = Buffer.alloc(200_000);
    for (let count = 0; count < 3; count += 1) connection.notify(requestCommand(CODE, {}, body));
    await expect.poll(received).toBeGreaterThan(3 * body.length);
    expect(counted()).toEqual({ writes: 0, corks: 1 });
  });
});
