/** A handler that is cut off between two calls, and what of it must go on as if nothing stood in between. */
import { describe, expect, it } from 'vitest';
import { Life, ProcessDied } from '../../src/testing/life.js';
import { mortalContext, mortalHandler } from '../../src/testing/mortalHandler.js';

class Store {
  readonly #rows: string[] = [];
  size = 0;

  async put(row: string): Promise<number> {
    this.#rows.push(row);
    this.size = this.#rows.length;
    return this.size;
  }

  get rows(): readonly string[] {
    return this.#rows;
  }
}

class Base {
  protected readonly store = new Store();
  protected readonly seen = new Map<string, number>();
  count = 0;

  protected async twice(row: string): Promise<void> {
    await this.store.put(row);
    await this.store.put(row);
  }

  get stored(): readonly string[] {
    return this.store.rows;
  }
}

class Handler extends Base {
  readonly say = (text: string) => text.length;

  async handle(row: string): Promise<number> {
    this.count += 1;
    this.seen.set(row, this.say(row));
    await this.twice(row);
    return (await this.store.put('end')) + this.seen.size;
  }
}

/** Calls and assignments are steps: count, map, say, put, put, put. */
function run(stepsMax: number) {
  const handler = new Handler();
  const life = new Life();
  let steps = 0;
  const step = <T>(call: () => T): T => {
    life.assertLasts();
    const result = call();
    steps += 1;
    if (steps === stepsMax) life.end();
    if (result instanceof Promise) return life.whileItLasts(result) as T;
    life.assertLasts();
    return result;
  };
  const mortal = mortalHandler(handler, step) as Handler;
  return { handler, life, result: life.orDie(mortal.handle('row')) };
}

describe('a mortal handler', () => {
  it('works as ever while it lives', async () => {
    const { handler, result } = run(Number.POSITIVE_INFINITY);
    expect(await result).toBe(4);
    expect(handler.stored).toEqual(['row', 'row', 'end']);
    expect(handler.count).toBe(1);
  });

  it.each([
    [1, 1, []],
    [3, 1, []],
    [4, 1, ['row']],
    [5, 1, ['row', 'row']],
    [6, 1, ['row', 'row', 'end']],
  ])('that dies after step %i has done that much', async (steps, count, stored) => {
    const { handler, result } = run(steps);
    await expect(result).rejects.toThrow(ProcessDied);
    await new Promise((resolve) => setImmediate(resolve));
    expect(handler.count).toBe(count);
    expect(handler.stored).toEqual(stored);
  });

  it('of a class with #private fields is the handler itself', () => {
    class Private {
      #secret = 1;
      secret(): number {
        return this.#secret;
      }
    }
    class Derived extends Private {}
    const handler = new Derived();
    expect(mortalHandler(handler, (call) => call())).toBe(handler);
    expect(handler.secret()).toBe(1);
  });

  it('leaves promises, signals and bytes alone, and fields that cannot change', () => {
    const fixed = Object.freeze({ call: () => 1 });
    const handler = Object.defineProperty(
      { ready: Promise.resolve(), signal: new AbortController().signal, bytes: Buffer.alloc(1) },
      'fixed',
      { value: fixed },
    );
    const mortal = mortalHandler(handler, () => {
      throw new Error('no step');
    }) as typeof handler & { fixed: typeof fixed };
    expect(mortal.ready).toBe(handler.ready);
    expect(mortal.signal).toBe(handler.signal);
    expect(mortal.bytes).toBe(handler.bytes);
    expect(mortal.fixed).toBe(fixed);
  });

  it('steps through the database of its context', () => {
    const context = { db: new Store(), stream: 's' };
    let steps = 0;
    const mortal = mortalContext(context, (call) => {
      steps += 1;
      return call();
    }) as typeof context;
    void mortal.db.put('row');
    expect(mortal.db.rows).toEqual(['row']);
    expect(mortal.stream).toBe('s');
    expect(steps).toBe(1);
    expect(mortalContext({ stream: 's' }, (call) => call())).toEqual({ stream: 's' });
  });
});
