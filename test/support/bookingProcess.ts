/** One process that books: `node --import tsx bookingProcess.ts '{"namesrv":…,"writer":0,…}'`. Its last line of output is what it was told. */
import { Foldlog, silentLogger } from '../../src/index.js';
import { attemptsOf, book, FlightBooked, type Outcome } from './bookings.js';

export interface BookingProcessOptions {
  namesrv: string;
  writers: readonly number[];
  attempts: number;
  seats: number;
  customers: number;
  limit: number;
}

const options = JSON.parse(process.argv[2] ?? '') as BookingProcessOptions;
const { namesrv, writers, attempts, seats, customers, limit } = options;
const app = await Foldlog.start({ namesrv, handlers: [], events: [FlightBooked], logger: silentLogger });
const told: Outcome[] = [];
await Promise.all(
  writers.map(async (writer) => {
    for (const booking of attemptsOf(writer, attempts, seats, customers)) {
      told.push({ ...booking, outcome: await book(app.eventStore, booking, limit) });
    }
  }),
);
await app.stop();
process.stdout.write(`${JSON.stringify(told)}\n`);
