/**
 * Clients of two name servers and a broker, each in a process of its own, while these are stopped, killed and started
 * again under load. One session, one producer group and one consumer live through all of it: they go on by themselves,
 * and what was acknowledged is delivered.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { type FoldlogProcess, foldlog } from '../support/foldlogProcess.js';

/** Sends under way at the same time. */
const SENDERS = 8;
/** Acknowledgements after each step that show that the clients are at work again. */
const MORE = 400;
const TEST_MAX_MILLIS = 180_000;
const STEP_MAX_MILLIS = 60_000;

let home: string;
const running: FoldlogProcess[] = [];

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'foldlog-restarts-'));
});

afterEach(async () => {
  for (const each of running.splice(0)) {
    each.kill('SIGKILL');
    await each.exited;
  }
  rmSync(home, { recursive: true, force: true });
});

/** A server that comes back at the address that it had. */
class Server {
  readonly #role: 'namesrv' | 'broker';
  readonly #args: readonly string[];
  #process: FoldlogProcess | undefined;
  #port = '0';
  /** Resolves when it can be reached; renewed when it is told to end. */
  #isUp: Promise<unknown> = Promise.resolve();
  #tellUp: () => void = () => {};

  constructor(role: 'namesrv' | 'broker', args: readonly string[]) {
    this.#role = role;
    this.#args = args;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** For those who lost it. */
  get isUp(): Promise<unknown> {
    return this.#isUp;
  }

  async start(): Promise<void> {
    this.#process = foldlog([this.#role, '-p', this.#port, ...this.#args]);
    running.push(this.#process);
    const ready = await this.#process.ready;
    this.#port = ready[this.#role].split(':')[1] ?? '';
    this.#tellUp();
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string | undefined> {
    this.#isUp = new Promise<void>((resolve) => {
      this.#tellUp = resolve;
    });
    this.#process?.kill(signal);
    return this.#process?.exited;
  }
}

/** Sends without pause, waiting only for a broker that is down. */
class Load {
  readonly acknowledged = new Set<string>();
  failures = 0;
  readonly #work: Promise<unknown>;
  #isOver = false;

  constructor(producer: Producer, broker: Server) {
    let next = 0;
    const sender = async () => {
      while (!this.#isOver) {
        const body = `message-${next++}`;
        try {
          await producer.send({ topic: 'Restarts', body });
          this.acknowledged.add(body);
        } catch {
          // Whether it is stored is not known, and nothing was promised.
          this.failures += 1;
          await broker.isUp;
        }
      }
    };
    this.#work = Promise.all(Array.from({ length: SENDERS }, sender));
  }

  async goesOn(): Promise<void> {
    const wanted = this.acknowledged.size + MORE;
    await expect.poll(() => this.acknowledged.size, { timeout: STEP_MAX_MILLIS }).toBeGreaterThanOrEqual(wanted);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#work;
  }
}

describe('under load', () => {
  it(
    'broker and name servers come and go, clients go on, and nothing that was acknowledged is lost',
    async () => {
      const first = new Server('namesrv', ['--store', path.join(home, 'first')]);
      const second = new Server('namesrv', ['--store', path.join(home, 'second')]);
      await Promise.all([first.start(), second.start()]);
      const namesrvAddr = `${first.address};${second.address}`;
      const broker = new Server('broker', ['--store', path.join(home, 'broker'), '-n', namesrvAddr]);
      await broker.start();

      await using session = await Session.open({ namesrvAddr, pollNameServerIntervalMillis: 1000 });
      const producer = new Producer({ session });
      const received = new Set<string>();
      const consumer = new PushConsumer(session, {
        group: 'restarts',
        subscriptions: [{ topic: 'Restarts' }],
        from: 'CONSUME_FROM_FIRST_OFFSET',
        consumeMessageBatchMaxSize: 32,
        async listener(messages) {
          for (const { body } of messages) received.add(body.toString());
          return { status: 'SUCCESS' };
        },
      });
      const load = new Load(producer, broker);
      await load.goesOn();
      await consumer.start();
      await expect.poll(() => received.size, { timeout: STEP_MAX_MILLIS }).toBeGreaterThan(0);

      // A graceful restart.
      expect(await broker.end('SIGTERM')).toBe(0);
      await broker.start();
      await load.goesOn();

      // A crash.
      expect(await broker.end('SIGKILL')).toBe('SIGKILL');
      await broker.start();
      await load.goesOn();

      // One name server is gone: routes come from the other, also for a broker that starts meanwhile.
      expect(await first.end('SIGKILL')).toBe('SIGKILL');
      await load.goesOn();
      expect(await broker.end('SIGKILL')).toBe('SIGKILL');
      await broker.start();
      await load.goesOn();
      {
        await using late = await Session.open({ namesrvAddr });
        await new Producer({ session: late }).send({ topic: 'Late', body: 'one name server is enough' });
      }

      // It comes back with nothing in memory; the broker tells it, and then the other one may go.
      await first.start();
      expect(await broker.end('SIGTERM')).toBe(0);
      await broker.start();
      expect(await second.end('SIGTERM')).toBe(0);
      await load.goesOn();
      {
        await using late = await Session.open({ namesrvAddr });
        await new Producer({ session: late }).send({ topic: 'Late', body: 'the other one is, too' });
      }

      await load.end();
      // The restarts were felt, or nothing was shown.
      expect(load.failures).toBeGreaterThan(0);
      const missing = () => [...load.acknowledged].filter((body) => !received.has(body));
      await expect.poll(() => missing().length, { timeout: STEP_MAX_MILLIS }).toBe(0);
      await consumer.stop();
    },
    TEST_MAX_MILLIS,
  );
});
