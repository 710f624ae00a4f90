import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ConsumeFromWhere, Consumer, event, On, Projection, type ProjectionContext } from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { Order, OrderPlaced } from '../support/orders.js';

function subjects() {
  const booked: number[] = [];
  @Consumer('orders', { group: 'billing', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
  class Billing {
    @On(OrderPlaced) async placed({ cents }: OrderPlaced): Promise<void> {
      booked.push(cents);
    }
  }

  @Projection({ name: 'totals', topics: ['orders'] })
  class Totals {
    initialise(db: ProjectionContext['db']): void {
      db.exec('CREATE TABLE totals (customer TEXT PRIMARY KEY, cents INTEGER NOT NULL)');
    }

    @On(OrderPlaced) placed({ customer, cents }: OrderPlaced, { db }: ProjectionContext): void {
      db.run(
        'INSERT INTO totals VALUES (?, ?) ON CONFLICT (customer) DO UPDATE SET cents = cents + excluded.cents',
        customer,
        cents,
      );
    }
  }
  return { booked, Billing, Totals, handlers: [Order, Billing, Totals] };
}

/** A directory of the test's own in place of the machine's for temporary files. */
function ownTemporaryDirectory(): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'foldlog-none-'));
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = directory;
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(directory, { recursive: true });
  });
  return directory;
}

describe('an application in memory', () => {
  it('runs aggregates, consumers and projections without a file', async () => {
    const { booked, handlers, Totals } = subjects();
    const temporary = ownTemporaryDirectory();
    await using app = await TestApp.start({ handlers, storage: 'memory' });
    for (const id of ['1', '2', '3']) await app.aggregate(Order).execute(id, (order) => order.place('ann', 100));
    await app.settled();
    expect(booked).toEqual([100, 100, 100]);
    expect(app.projection(Totals).database.all('SELECT * FROM totals')).toEqual([{ customer: 'ann', cents: 300 }]);
    expect(readdirSync(temporary)).toEqual([]);
    expect(existsSync(app.directory)).toBe(false);
    // On a directory the same look finds something.
    await using other = await TestApp.start({ handlers });
    expect(readdirSync(temporary)).toEqual([path.basename(other.directory)]);
  });

  it('keeps store, database and progress over a restart', async () => {
    const { booked, handlers, Totals } = subjects();
    await using app = await TestApp.start({ handlers, storage: 'memory' });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 100));
    await app.settled();
    await app.restart();
    expect((await app.aggregate(Order).load('1')).cents).toBe(100);
    await app.aggregate(Order).execute('2', (order) => order.place('ann', 1));
    await app.settled();
    expect(booked).toEqual([100, 1]);
    expect(app.projection(Totals).database.all('SELECT cents FROM totals')).toEqual([{ cents: 101 }]);
  });

  it('has not settled while a consumer waits for a topic that has just been made', async () => {
    const { booked, Billing } = subjects();
    await using app = await TestApp.start({ handlers: [Billing], storage: 'memory' });
    await app.settled();
    await app.eventStore.append({ topic: 'orders', stream: 'order:1' }, [
      event(OrderPlaced, { customer: 'ann', cents: 5 }),
    ]);
    await app.settled();
    expect(booked).toEqual([5]);
  });

  it('says why somebody is behind, also without a logger', async () => {
    const stuck = () => {
      throw new Error('no paper');
    };
    @Consumer('orders', { group: 'printer', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
    class Printer {
      @On(OrderPlaced) placed(): void {
        stuck();
      }
    }
    @Projection({ name: 'prints', topics: ['orders'] })
    class Prints {
      @On(OrderPlaced) placed(): void {
        stuck();
      }
    }
    await using app = await TestApp.start({ handlers: [Order, Printer, Prints], storage: 'memory' });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await expect(app.settled({ timeoutMillis: 300 })).rejects.toThrow(
      /behind: printer by 1 \(last problem: .*: no paper\), projection-prints-v1 by 1 \(last problem: .*OrderPlaced .*: no paper\)/,
    );
  });

  it('refuses what is no storage', async () => {
    await expect(TestApp.start({ handlers: [], storage: 'disk' as 'memory' })).rejects.toThrow(/neither 'directory'/);
  });

  it('is up within milliseconds', async () => {
    const { handlers } = subjects();
    const cpuMillis: number[] = [];
    const wallMillis: number[] = [];
    for (let round = 0; round < 6; round++) {
      const cpu = process.cpuUsage();
      const wall = performance.now();
      const app = await TestApp.start({ handlers, storage: 'memory' });
      wallMillis.push(performance.now() - wall);
      const { user, system } = process.cpuUsage(cpu);
      cpuMillis.push((user + system) / 1000);
      await app.stop();
    }
    if (process.env['FOLDLOG_TIMES']) console.log({ cpuMillis, wallMillis });
    // The first one loads the code. The machine may be busy with other things: what counts is the work.
    expect(Math.min(...cpuMillis.slice(1))).toBeLessThan(50);
  });
});
