/** The boundary of `test/eventstore/boundary.test.ts` between processes: four of them book over TCP at the same broker. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { TestApp } from '../../src/testing/index.js';
import type { BookingProcessOptions } from '../support/bookingProcess.js';
import { defectsOf, FlightBooked, type Outcome } from '../support/bookings.js';

const program = path.resolve(import.meta.dirname, '../support/bookingProcess.ts');
const PROCESSES = 4;
const LIMIT = 3;

it('is never oversold and never over the limit, with four processes at once', async () => {
  await using app = await TestApp.start({
    handlers: [],
    events: [FlightBooked],
    listen: true,
    namesrvPort: 0,
    brokerPort: 0,
  });
  const namesrv = app.foldlog.namesrvAddr;
  const run = async (process_: number): Promise<Outcome[]> => {
    const writers = [0, 1, 2, 3].map((at) => process_ * 4 + at);
    const options: BookingProcessOptions = { namesrv, writers, attempts: 15, seats: 40, customers: 11, limit: LIMIT };
    const args = ['--import', 'tsx', program, JSON.stringify(options)];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    return JSON.parse(stdout) as Outcome[];
  };
  const told = (await Promise.all(Array.from({ length: PROCESSES }, (_, at) => run(at)))).flat();
  expect(told).toHaveLength(PROCESSES * 4 * 15);
  expect(await defectsOf(app.eventStore, told, LIMIT)).toEqual([]);
  expect(told.filter(({ outcome }) => outcome === 'booked')).toHaveLength(11 * LIMIT);
}, 60_000);
