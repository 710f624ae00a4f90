import { describe, expect, it } from 'vitest';
import { Lifecycle } from '../../src/base/lifecycle.js';

describe('Lifecycle', () => {
  it('closes in reverse what was opened, once', async () => {
    const closed: string[] = [];
    const lifecycle = new Lifecycle('part');
    await lifecycle.start(async (closes) => {
      closes.push(() => void closed.push('first'));
      closes.push(() => void closed.push('second'));
    });
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    expect(closed).toEqual(['second', 'first']);
    expect(lifecycle.state).toBe('stopped');
  });

  it('closes what a failed start had opened, and keeps the first error', async () => {
    const closed: string[] = [];
    const lifecycle = new Lifecycle('part');
    const start = lifecycle.start(async (closes) => {
      closes.push(() => {
        closed.push('opened');
        throw new Error('close failed');
      });
      throw new Error('open failed');
    });
    await expect(start).rejects.toThrow('open failed');
    expect(closed).toEqual(['opened']);
    expect(lifecycle.state).toBe('failed');
    await expect(lifecycle.stop()).resolves.toBeUndefined();
  });

  it('runs every close although one throws', async () => {
    const closed: string[] = [];
    const lifecycle = new Lifecycle('part');
    await lifecycle.start(async (closes) => {
      closes.push(() => void closed.push('first'));
      closes.push(() => Promise.reject(new Error('second failed')));
    });
    await expect(lifecycle.stop()).rejects.toThrow('second failed');
    expect(closed).toEqual(['first']);
  });

  it('returns the start under way, and refuses one after stop', async () => {
    const lifecycle = new Lifecycle('part');
    let opened = 0;
    const open = async () => {
      opened += 1;
    };
    await Promise.all([lifecycle.start(open), lifecycle.start(open)]);
    expect(opened).toBe(1);
    await lifecycle.stop();
    expect(() => lifecycle.assertRunning()).toThrow(/part is stopped/);
    await expect(lifecycle.start(open)).rejects.toThrow(/cannot start again/);
  });

  it('stop waits for a start under way', async () => {
    const lifecycle = new Lifecycle('part');
    const closed: string[] = [];
    const { promise, resolve } = deferred();
    const start = lifecycle.start(async (closes) => {
      await promise;
      closes.push(() => void closed.push('late'));
    });
    const stop = lifecycle.stop();
    resolve();
    await Promise.all([start, stop]);
    expect(closed).toEqual(['late']);
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
