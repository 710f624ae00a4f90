import { describe, expect, it } from 'vitest';
import { PositionWaiters } from '../../src/projections/positionWaiters.js';
import { ManualClock } from '../support/manualClock.js';
import { QUEUE } from './events.js';

function setUp(isAsync = false) {
  const clock = new ManualClock();
  const rest = { generation: 1, commitLogOffset: undefined, msgId: undefined };
  const state = { committed: 5, loads: 0, away: Promise.resolve(), rest };
  const checkpoint = () => ({ ...state.rest, nextOffset: state.committed });
  const loadCheckpoint = () => {
    state.loads++;
    return isAsync ? state.away.then(checkpoint) : checkpoint();
  };
  const waiters = new PositionWaiters({ clock, loadCheckpoint });
  const wait = (queueOffset: number, signal?: AbortSignal) =>
    waiters.wait(QUEUE, queueOffset, { timeoutMillis: 1000, signal, describe: () => 'held: the handler failed' });
  return { clock, state, waiters, wait };
}

describe('waiting for a position', () => {
  it('is over at once when it has been reached', async () => {
    const { wait, clock } = setUp();
    await wait(4);
    expect(clock.pendingCount).toBe(0);
  });

  it('ends with the commit that passes it, not before', async () => {
    const { wait, waiters, clock } = setUp();
    let isOver = false;
    const waiting = wait(7).then(() => {
      isOver = true;
    });
    waiters.reached(QUEUE, 7);
    waiters.reached({ ...QUEUE, queueId: 3 }, 100);
    await Promise.resolve();
    expect(isOver).toBe(false);
    waiters.reached(QUEUE, 8);
    await waiting;
    expect(clock.pendingCount).toBe(0);
  });

  it('sees what another instance commits', async () => {
    const { wait, state, clock } = setUp();
    const waiting = wait(7);
    state.committed = 8;
    clock.advance(100);
    await waiting;
    expect(clock.pendingCount).toBe(0);
  });

  it('ends with what holds the projection when the time is up', async () => {
    const { wait, clock } = setUp();
    const waiting = wait(7);
    clock.advance(1000);
    await expect(waiting).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT', message: 'held: the handler failed' });
    expect(clock.pendingCount).toBe(0);
  });

  it('ends with the signal, and with the projection', async () => {
    const { wait, waiters, clock } = setUp();
    const abort = new AbortController();
    const waiting = wait(7, abort.signal);
    abort.abort(new Error('the caller went away'));
    await expect(waiting).rejects.toThrow('the caller went away');
    await expect(wait(7, abort.signal)).rejects.toThrow('the caller went away');
    const stopped = wait(7);
    waiters.stop();
    await expect(stopped).rejects.toMatchObject({ code: 'LIFECYCLE' });
    expect(clock.pendingCount).toBe(0);
  });

  it('is bounded', async () => {
    const { wait, waiters } = setUp();
    const waiting = Array.from({ length: 10_000 }, () => wait(7));
    await expect(wait(7)).rejects.toMatchObject({ code: 'TOO_BUSY' });
    waiters.reached(QUEUE, 8);
    await Promise.all(waiting);
  });

  it('asks a database that answers later, one question a queue at a time', async () => {
    const { wait, state, clock } = setUp(true);
    let answer = () => {};
    state.away = new Promise((resolve) => {
      answer = resolve;
    });
    const waiting = [wait(4), wait(4), wait(7)];
    clock.advance(500);
    expect(state.loads).toBe(1);
    answer();
    await Promise.all(waiting.slice(0, 2));
    state.committed = 8;
    clock.advance(100);
    await waiting[2];
    expect(state.loads).toBe(2);
    expect(clock.pendingCount).toBe(0);
  });

  it('outlives a database that is away', async () => {
    const { wait, state, clock } = setUp(true);
    state.away = Promise.reject(new Error('away'));
    const waiting = wait(4);
    await state.away.catch(() => {});
    clock.advance(100);
    await state.away.catch(() => {});
    state.away = Promise.resolve();
    await Promise.resolve();
    clock.advance(100);
    await waiting;
    expect(clock.pendingCount).toBe(0);
  });
});
