/**
 * What hostile and slow clients cost a real broker: each bound is a configuration key, and a second client sends and
 * pulls all the while. Its slowest round is measured, and must not come near the time-outs of clients.
 */
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { BrokerConfig } from '../../src/config/brokerConfig.js';
import { defaultNamesrvConfig } from '../../src/config/namesrvConfig.js';
import { NameServer } from '../../src/namesrv/nameServer.js';
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES } from '../../src/protocol/frame.js';
import { pullMessageHeader } from '../../src/protocol/headers/messaging.js';
import { type RemotingCommand, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { FrameDecoder } from '../../src/remoting/frameDecoder.js';
import { bodiesOf, pull, recordingLogger, send, startTestBroker, temporaryDirectory } from '../support/testBroker.js';

const MIB = 1024 * 1024;
/** What one pull is answered with. */
const BIG_BYTES = 250_000;
/** Round trips of the second client: clients give up after three seconds. */
const ROUND_MAX_MILLIS = 3000;

interface RawSocket {
  socket: Socket;
  frames: RemotingCommand[];
  closed: Promise<void>;
  isClosed: () => boolean;
}

async function openSocket({ host, port }: { host: string; port: number }): Promise<RawSocket> {
  const socket = connect(port, host);
  onTestFinished(() => void socket.destroy());
  const frames: RemotingCommand[] = [];
  const decoder = new FrameDecoder(MAX_FRAME_BYTES);
  socket.on('data', (chunk) => decoder.push(chunk, (frame) => frames.push(decodeFrame(frame))));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', resolve);
  });
  return { socket, frames, closed, isClosed: () => socket.destroyed };
}

/** Bytes of a pull; `suspend` makes it wait for a message. */
function pullFrame(topic: string, queueOffset: number, suspend = false): Buffer {
  return encodeFrame(
    requestCommand(
      REQUEST_CODE.PULL_MESSAGE,
      pullMessageHeader.encode({
        consumerGroup: 'Hostile',
        topic,
        queueId: 0,
        queueOffset,
        maxMsgNums: 1,
        sysFlag: suspend ? 6 : 4,
        commitOffset: 0,
        suspendTimeoutMillis: 60_000,
        subscription: '*',
        subVersion: 0,
      }),
    ),
  );
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A broker, and a client that sends and pulls until `finish`, which tells how that went. */
async function serving(config: Partial<BrokerConfig> = {}) {
  const logger = recordingLogger();
  const started = await startTestBroker({
    listen: true,
    logger,
    config: { listenPort: 0, mappedFileSizeCommitLog: 64 * MIB, ...config },
  });
  const second = started.client();
  let isOver = false;
  let rounds = 0;
  let slowestMillis = 0;
  await send(second, { topic: 'Big', body: Buffer.alloc(BIG_BYTES, 'x') });
  const work = (async () => {
    for (; !isOver; rounds += 1) {
      const start = performance.now();
      const sent = await send(second, { topic: 'Second', body: `round-${rounds}` });
      expect(sent.code).toBe(0);
      expect(bodiesOf(await pull(second, { topic: 'Second', queueOffset: rounds, maxMsgNums: 1 }))).toEqual([
        `round-${rounds}`,
      ]);
      slowestMillis = Math.max(slowestMillis, performance.now() - start);
      await turns(1);
    }
  })();
  work.catch(() => {});
  return {
    ...started,
    second,
    warnings: () => logger.lines.filter((line) => line.startsWith('warn') && line.includes('cut off')),
    logger,
    open: () => openSocket(started.broker.address),
    /** At least this many more rounds from now on, then the end. */
    async finish(more = 20): Promise<void> {
      const wanted = rounds + more;
      await expect.poll(() => rounds, { timeout: 20_000 }).toBeGreaterThanOrEqual(wanted);
      isOver = true;
      await work;
      expect(slowestMillis).toBeLessThan(ROUND_MAX_MILLIS);
      expect(logger.lines.filter((line) => line.startsWith('error'))).toEqual([]);
    },
  };
}

/** Opens `count` connections that do not read, each with `pulls` held pulls of topic Big. */
async function slowReaders(
  broker: { open: () => Promise<RawSocket> },
  count: number,
  pulls: number,
): Promise<RawSocket[]> {
  const readers = await Promise.all(Array.from({ length: count }, () => broker.open()));
  for (const { socket } of readers) {
    socket.pause();
    socket.write(Buffer.concat(Array.from({ length: pulls }, () => pullFrame('Big', 1, true))));
  }
  return readers;
}

describe('bounds of a broker', () => {
  it('writeBufferHighWaterMark: a slow reader is not read from, loses nothing, and costs no memory', async () => {
    const broker = await serving({ writeBufferHighWaterMark: MIB });
    const slow = await broker.open();
    slow.socket.pause();
    const before = process.memoryUsage().arrayBuffers;
    const asked = 400;
    for (let count = 0; count < asked; count += 1) slow.socket.write(pullFrame('Big', 0));
    await turns(300);
    // Without the bound all answers, 100 MB, would lie here.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * MIB);
    await broker.finish();
    slow.socket.resume();
    await expect.poll(() => slow.frames.length, { timeout: 20_000 }).toBe(asked);
    expect(broker.warnings()).toEqual([]);
  });

  it('maxUnsentBytes: a reader that is answered more than it takes is cut off', async () => {
    const broker = await serving({ maxUnsentBytes: 16 * MIB });
    const [slow] = await slowReaders(broker, 1, 300);
    const waiting = pull(broker.second, { topic: 'Big', queueOffset: 1, sysFlag: 6 });
    await turns(50);
    await send(broker.second, { topic: 'Big', body: Buffer.alloc(BIG_BYTES, 'y') });
    expect((await waiting).code).toBe(0);
    await broker.finish();
    expect(broker.warnings()).toHaveLength(1);
    expect(broker.warnings()[0]).toContain('it does not read what it is sent');
    slow!.socket.resume();
    await slow!.closed;
    expect(slow!.frames.length).toBeLessThan(300);
  });

  it('maxBufferedBytes: many slow readers together cost no more than the bound', async () => {
    const broker = await serving({ maxBufferedBytes: 32 * MIB });
    const readers = await slowReaders(broker, 10, 80);
    await turns(50);
    await send(broker.second, { topic: 'Big', body: Buffer.alloc(BIG_BYTES, 'y') });
    await broker.finish();
    expect(broker.warnings().length).toBeGreaterThan(0);
    expect(broker.warnings()[0]).toContain('all connections together keep more than');
    for (const { socket } of readers) socket.resume();
    // Whoever is left gets everything.
    await expect
      .poll(() => readers.every((each) => each.isClosed() || each.frames.length === 80), { timeout: 20_000 })
      .toBe(true);
    expect(readers.filter((each) => each.isClosed())).toHaveLength(broker.warnings().length);
  });

  it('maxBufferedBytes: counts frames that are begun and not ended', async () => {
    const broker = await serving({ maxBufferedBytes: 8 * MIB });
    const length = Buffer.alloc(4);
    length.writeInt32BE(MAX_FRAME_BYTES - 4);
    const senders = await Promise.all(Array.from({ length: 6 }, () => broker.open()));
    for (const { socket } of senders) socket.write(Buffer.concat([length, Buffer.alloc(2 * MIB)]));
    await expect.poll(() => broker.warnings().length, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    await broker.finish();
    expect(senders.filter((each) => each.isClosed()).length).toBeLessThanOrEqual(4);
  });

  it('maxRequestsPerConnection: a flood of pulls is answered SYSTEM_BUSY, and others wait as before', async () => {
    const broker = await serving({ maxRequestsPerConnection: 50 });
    const flood = await broker.open();
    flood.socket.write(Buffer.concat(Array.from({ length: 500 }, () => pullFrame('Big', 1, true))));
    const waiting = pull(broker.second, { topic: 'Big', queueOffset: 1, sysFlag: 6 });
    await expect.poll(() => flood.frames.length).toBe(450);
    expect(new Set(flood.frames.map(({ code }) => code))).toEqual(new Set([2]));
    expect(flood.frames[0]?.remark).toContain('[OVERLOAD]');
    // A connection whose requests were answered may ask again.
    await send(broker.second, { topic: 'Big', body: 'small' });
    expect((await waiting).code).toBe(0);
    await expect.poll(() => flood.frames.filter(({ code }) => code === 0).length).toBe(50);
    flood.socket.write(pullFrame('Big', 1));
    await expect.poll(() => flood.frames.length).toBe(501);
    expect(flood.frames.at(-1)?.code).toBe(0);
    await broker.finish();
  });

  it('maxHeldPulls and maxHeldPullBytes: pulls over the bound are answered at once', async () => {
    const broker = await serving({ maxHeldPulls: 100, maxHeldPullBytes: 40 * 1100 });
    const flood = await broker.open();
    flood.socket.write(Buffer.concat(Array.from({ length: 500 }, () => pullFrame('Big', 1, true))));
    await expect.poll(() => flood.frames.length).toBeGreaterThanOrEqual(455);
    expect(new Set(flood.frames.map(({ code }) => code))).toEqual(new Set([19]));
    await broker.finish();
  });

  it('maxConnections: a client that opens connections without end leaves the others alone', async () => {
    const broker = await serving({ maxConnections: 20 });
    let refused = 0;
    const kept: RawSocket[] = [];
    for (let count = 0; count < 200; count += 1) {
      const opened = await broker.open();
      void opened.closed.then(() => {
        refused += 1;
      });
      kept.push(opened);
    }
    await expect.poll(() => refused).toBe(181);
    await broker.finish();
    for (const { socket } of kept) socket.destroy();
    const late = await broker.open();
    late.socket.write(pullFrame('Big', 0));
    await expect.poll(() => late.frames.length + Number(late.isClosed())).toBe(1);
  });

  it('maxFrameBytes: a longer frame cuts the connection before its bytes are there', async () => {
    const broker = await serving({ maxFrameBytes: 1_000_000 });
    const sender = await broker.open();
    const length = Buffer.alloc(4);
    length.writeInt32BE(1_000_000);
    sender.socket.write(length);
    await sender.closed;
    await broker.finish();
  });

  it('serverChannelMaxIdleTimeSeconds: a sender of one byte at a time is answered; one that stops is closed', async () => {
    const broker = await serving();
    const slow = await broker.open();
    const stopped = await broker.open();
    const frame = pullFrame('Second', 0);
    stopped.socket.write(frame.subarray(0, 50));
    for (const byte of frame) {
      slow.socket.write(Buffer.from([byte]));
      await turns(1);
    }
    await expect.poll(() => slow.frames.length).toBe(1);
    await broker.finish();
    broker.clock.advance(100_000);
    slow.socket.write(frame);
    await expect.poll(() => slow.frames.length).toBe(2);
    broker.clock.advance(21_000);
    await stopped.closed;
    expect(slow.isClosed()).toBe(false);
  });
});

describe('bounds of a name server', () => {
  it('maxUnsentBytes and maxBufferedBytes: begun frames beyond the bound are cut off', async () => {
    const logger = recordingLogger();
    const directory = temporaryDirectory();
    const nameServer = await NameServer.start({
      config: defaultNamesrvConfig({
        listenPort: 0,
        kvConfigPath: `${directory}/kvConfig.json`,
        writeBufferHighWaterMark: MIB,
        maxUnsentBytes: 16 * MIB,
        maxBufferedBytes: 4 * MIB,
      }),
      logger,
    });
    onTestFinished(() => nameServer.stop());
    const length = Buffer.alloc(4);
    length.writeInt32BE(MAX_FRAME_BYTES - 4);
    const senders = await Promise.all(Array.from({ length: 4 }, () => openSocket(nameServer.address!)));
    for (const { socket } of senders) socket.write(Buffer.concat([length, Buffer.alloc(2 * MIB)]));
    await expect
      .poll(() => senders.filter((each) => each.isClosed()).length, { timeout: 20_000 })
      .toBeGreaterThanOrEqual(2);
    const other = await openSocket(nameServer.address!);
    other.socket.write(encodeFrame(requestCommand(REQUEST_CODE.GET_BROKER_CLUSTER_INFO)));
    await expect.poll(() => other.frames.length).toBe(1);
  });
});
