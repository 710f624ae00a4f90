/**
 * One of the four processes: an application that embeds the broker (`store`) or reaches it over TCP (`namesrv`), told
 * over its channel what to do. It cuts its own connections now and then, at a moment when requests are under way, so
 * that answers get lost that the broker has sent. Runs as `node --import tsx writerProcess.ts '{…}'`.
 */
import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { Foldlog, type FoldlogOptions, isFoldlogError, silentLogger } from '../../src/index.js';
import { book, EVENTS, TALLIES, tallying } from './domain.js';
import { random, type Work } from './load.js';

export interface WriterOptions {
  app: Pick<FoldlogOptions, 'brokerPort' | 'config' | 'listen' | 'namesrv' | 'namesrvPort' | 'store'>;
  seed: number;
}

export type Told = { id: number; work: Work };
/** `again`: the outcome is unknown, or others were faster too often. */
export type Answer =
  | { ready: { namesrv: string; broker: string | undefined } }
  | { id: number; version: number; alreadyAppended: boolean }
  | { id: number; outcome: 'booked' | 'refused' }
  | { id: number; again: string }
  | { id: number; failure: string };

/** Pieces of answers that a connection brings before it is cut: some hundred requests. */
const CUT_AFTER_MIN = 300;
const CUT_AFTER_SPAN = 1_500;
const AGAIN: ReadonlySet<string> = new Set(['OUTCOME_UNKNOWN', 'EXPECTED_VERSION', 'CONDITION_FAILED']);

function cutConnections(below: (limit: number) => number): void {
  diagnostics.subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket };
    let left = CUT_AFTER_MIN + below(CUT_AFTER_SPAN);
    socket.prependListener('data', () => {
      left -= 1;
      if (left === 0) socket.destroy();
    });
  });
}

async function main(): Promise<void> {
  const { app: options, seed } = JSON.parse(process.argv[2] ?? '') as WriterOptions;
  cutConnections(random(seed));
  const say = (answer: Answer) => process.send?.(answer);
  const app = await Foldlog.start({ ...options, handlers: [], events: EVENTS, logger: silentLogger });
  const tallies = app.decider(tallying(), TALLIES);

  const work = async ({ id, work: one }: Told): Promise<Answer> => {
    try {
      if (one.kind === 'book') return { id, outcome: await book(app.eventStore, one.booking) };
      const result = await tallies.execute(one.stream, one.tally, { commandId: one.tally.command });
      return { id, version: result.version, alreadyAppended: result.alreadyAppended };
    } catch (thrown) {
      if (isFoldlogError(thrown) && AGAIN.has(thrown.code)) return { id, again: thrown.code };
      return { id, failure: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
    }
  };
  process.on('message', (told: Told) => void work(told).then(say));
  process.on('disconnect', () => process.exit());
  say({ ready: { namesrv: app.namesrvAddr, broker: app.brokerAddr } });
}

await main();
