// A store with 1 GiB of log under load, plain and guarded appends, SYNC_FLUSH and ASYNC_FLUSH in turns, is killed with
// SIGKILL, opened, and killed again: KILL_ROUNDS times (default 50), at moments drawn from KILL_SEED, some of them while
// it recovers. No clean stop lies between. After each kill every acknowledged message is there, with its content,
// position and queue offset, and the store is ready in under 2 seconds; at the end `verifyStore` finds no fault.
//
// The next process loads its code while the one before works, so that a round costs what the store costs.
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MessageStore, verifyStore } from '../../src/store/index.js';
import { randomFrom } from '../support/faultyFiles.js';
import { message } from '../support/storeMessages.js';
import { type Acknowledgement, checkAcknowledged, parseAcknowledgements, SHARED_STREAM } from './acknowledgements.js';
import type { Life } from './killChild.js';

const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 50);
const SEED = Number(process.env['KILL_SEED'] ?? 1);
const READY_MILLIS = 2000;
/** Acknowledgements after which the process is killed: at most this many; in a few lives, which see upkeep run, more. */
const ACKNOWLEDGEMENTS_MAX = 800;
const LONG_LIFE_ACKNOWLEDGEMENTS = 8_000;
const LONG_LIFE_EVERY = 15;
const BASE_BYTES = 1024 * 1024 * 1024;
const BASE_BODY_BYTES = 32 * 1024;

const child = path.resolve(import.meta.dirname, 'killChild.ts');
let root: string;
let directory: string;

beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'foldlog-kill-'));
  directory = path.join(root, 'store');
  await fill();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** 1 GiB of log, written once and stopped cleanly. */
async function fill(): Promise<void> {
  const store = await MessageStore.open({ directory });
  const body = Buffer.alloc(BASE_BODY_BYTES, 'b');
  for (let serial = 0; store.visibleEnd().commitLogOffset < BASE_BYTES; ) {
    const messages = Array.from({ length: 64 }, () => {
      serial += 1;
      return message({ topic: 'Base', body, properties: { KEYS: `base-${serial}`, UNIQ_KEY: `unique-${serial}` } });
    });
    const outcome = store.append(messages);
    if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
    await outcome.turn.visible;
  }
  await store.close();
}

/** A process that has loaded its code and waits for its order. */
class LoadedChild {
  readonly #child: ChildProcess;
  readonly #loaded: Promise<void>;
  readonly #ended: Promise<string>;
  #stdout = '';
  #stderr = '';
  #onLine: (line: string) => void = () => {};

  constructor() {
    this.#child = spawn(process.execPath, ['--import', 'tsx', child], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve(signal ?? String(code)));
    });
    this.#loaded = new Promise((resolve, reject) => {
      this.#onLine = (line) => line === 'loaded' && resolve();
      void this.#ended.then((how) => reject(new Error(`the process ended with ${how}: ${this.#stderr}`)));
    });
    this.#loaded.catch(() => {});
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error('the process has no pipes');
    stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    createInterface({ input: stdout }).on('line', (line) => this.#onLine(line));
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
  }

  /** Lets it live until the line for which `isEnough` says so, kills it, and returns all that it said. */
  async liveUntil(life: Life, isEnough: (line: string) => boolean): Promise<string> {
    await this.#loaded;
    this.#onLine = (line) => {
      if (isEnough(line)) this.#child.kill('SIGKILL');
    };
    this.#child.stdin?.write(`${JSON.stringify(life)}\n`);
    const how = await this.#ended;
    expect(how, this.#stderr).toBe('SIGKILL');
    return this.#stdout;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

it(
  `every acknowledged message outlives SIGKILL, ${ROUNDS} times`,
  async () => {
    const random = randomFrom(SEED);
    const acknowledged = path.join(root, 'acknowledged');
    const all: Acknowledgement[] = [];
    const openMillis: number[] = [];
    let checkedCount = 0;
    writeFileSync(acknowledged, '');
    let next = new LoadedChild();
    try {
      for (let life = 1; life <= ROUNDS; life += 1) {
        const current = next;
        next = new LoadedChild();
        const flushDiskType = life % 2 === 0 ? 'ASYNC_FLUSH' : 'SYNC_FLUSH';
        // One life in ten ends before the store is open.
        const endsEarly = life % 10 === 0;
        const isLong = life % LONG_LIFE_EVERY === 0;
        const target = 1 + Math.floor(random() * ACKNOWLEDGEMENTS_MAX) + (isLong ? LONG_LIFE_ACKNOWLEDGEMENTS : 0);
        let count = 0;
        const said = await current.liveUntil(
          { directory, life, seed: SEED * 1000 + life, flushDiskType, acknowledged },
          (line) => {
            if (endsEarly) return line === 'opening';
            if (line.startsWith('ack ')) count += 1;
            return count >= target;
          },
        );
        const open = /^open (\d+) (\d+)$/m.exec(said);
        // What other processes of the machine took is not the store's time.
        if (open) openMillis.push(Number(open[1]) - Number(open[2]));
        const checked = /^checked (\d+)$/m.exec(said)?.[1];
        // What this life has checked need not be checked by the next one.
        if (checked !== undefined) {
          checkedCount += Number(checked);
          writeFileSync(acknowledged, '');
        }
        const fresh = parseAcknowledgements(said);
        all.push(...fresh);
        appendFileSync(acknowledged, said.slice(0, said.lastIndexOf('\n') + 1));
        if (!endsEarly) expect(fresh.length, `KILL_SEED=${SEED}, life ${life}`).toBeGreaterThanOrEqual(target);
      }
    } finally {
      next.kill();
    }
    const slowest = Math.max(...openMillis);
    console.log(
      `${ROUNDS} kills, KILL_SEED=${SEED}: ${all.length} acknowledged, ${checkedCount} found by the next life, ` +
        `slowest restart ${slowest} ms`,
    );
    expect(slowest).toBeLessThan(READY_MILLIS);

    const store = await MessageStore.open({ directory });
    try {
      for (const one of all) checkAcknowledged(store, one);
      // No version of the shared stream was given twice.
      const versions = all.filter(({ kind }) => kind === 'shared').map(({ version }) => version);
      expect(new Set(versions).size).toBe(versions.length);
      expect(versions.length, SHARED_STREAM).toBeGreaterThan(0);
    } finally {
      await store.close();
    }
    expect(verifyStore(directory).problems).toEqual([]);
  },
  60_000 + ROUNDS * 5_000,
);
