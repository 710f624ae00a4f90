/**
 * foldlog's side of the comparison of event stores: an application with an embedded broker, SYNC_FLUSH, its events
 * checked by class-validator as any application's are. As installed: what `npm run build` made, for tsx would name every
 * inner function of the sources at run time.
 */
import path from 'node:path';
import { IsInt, IsString, Min } from 'class-validator';
import {
  Aggregate,
  AggregateRoot,
  Apply,
  Event,
  event,
  Foldlog,
  On,
  Projection,
  type ProjectionContext,
} from 'foldlog';
import {
  type AppendWork,
  type ComparedStore,
  fieldsOf,
  forMillis,
  LOG_STREAM_EVENTS,
  type LoadWork,
  streamOf,
} from './comparedStore.js';

const APPENDED = 'appended';
const LOG = 'log';
const EVENTS_PER_APPEND = 500;
const FILLING = 16;

@Event({ type: 'OrderPlaced' })
class OrderPlaced {
  @IsString() customer!: string;
  @IsInt() @Min(1) cents!: number;
  @IsString() note!: string;
}

class Sum extends AggregateRoot {
  cents = 0;
  @Apply(OrderPlaced) placed({ cents }: OrderPlaced): void {
    this.cents += cents;
  }
}

@Aggregate({ topic: 'plain', stream: 'plain' })
class Plain extends Sum {}

@Aggregate({ topic: 'kept', stream: 'kept', snapshot: { every: 1_000_000 } })
class Kept extends Sum {}

@Projection({ name: 'sums', topics: [LOG], version: 1 })
class Sums {
  initialise = (db: { exec(sql: string): void }) =>
    db.exec('CREATE TABLE sums (customer TEXT PRIMARY KEY, cents INTEGER NOT NULL)');
  @On(OrderPlaced) placed({ customer, cents }: OrderPlaced, { db }: ProjectionContext): void {
    db.run(
      'INSERT INTO sums VALUES (?, ?) ON CONFLICT (customer) DO UPDATE SET cents = cents + excluded.cents',
      customer,
      cents,
    );
  }
}

const HANDLERS = [Plain, Kept];

export class FoldlogStore implements ComparedStore {
  readonly #directory: string;
  #app: Foldlog;
  readonly #versions = new Map<string, number>();
  #serial = 0;
  #rebuilds = 0;
  #counts = 0;

  private constructor(directory: string, app: Foldlog) {
    this.#directory = directory;
    this.#app = app;
  }

  get app(): Foldlog {
    return this.#app;
  }

  static async open(directory: string): Promise<FoldlogStore> {
    return new FoldlogStore(directory, await start(directory, HANDLERS));
  }

  append(work: AppendWork, millis: number): Promise<number> {
    const { eventStore } = this.#app;
    return forMillis(millis, work.inFlight, async (caller, turn) => {
      const stream = streamOf(work, caller, turn);
      const expectedVersion = this.#versions.get(stream) ?? 'NO_STREAM';
      const { version } = await eventStore.append({ topic: APPENDED, stream }, this.#events(work.eventsEach), {
        expectedVersion,
      });
      this.#versions.set(stream, version);
    });
  }

  load(work: LoadWork, millis: number): Promise<number> {
    const { eventStore } = this.#app;
    if (work.isFolded) {
      const aggregates = this.#app.aggregate(work.hasSnapshot ? Kept : Plain);
      return forMillis(millis, 1, async () => {
        const { version } = await aggregates.load(work.stream);
        if (version !== work.events) throw new Error(`${work.stream} is at version ${version}`);
      });
    }
    const { topic, stream } = nameOf(work);
    return forMillis(millis, 1, async () => {
      let count = 0;
      for await (const _ of eventStore.readStream({ topic, stream })) count += 1;
      if (count !== work.events) throw new Error(`${stream} has ${count} events`);
    });
  }

  async fill(work: LoadWork): Promise<void> {
    const name = nameOf(work);
    for (let left = work.events; left > 0; left -= EVENTS_PER_APPEND) {
      await this.#app.eventStore.append(name, this.#events(Math.min(left, EVENTS_PER_APPEND)));
    }
    if (work.hasSnapshot) await this.#app.aggregate(Kept).takeSnapshot(work.stream);
  }

  async fillLog(events: number): Promise<void> {
    let stream = 0;
    const fillers = Array.from({ length: FILLING }, async () => {
      for (; stream * LOG_STREAM_EVENTS < events; ) {
        const name = { topic: LOG, stream: `order:${stream}` };
        stream += 1;
        await this.#app.eventStore.append(name, this.#events(LOG_STREAM_EVENTS));
      }
    });
    await Promise.all(fillers);
  }

  async rebuild(events: number): Promise<void> {
    this.#rebuilds += 1;
    const database = path.join(this.#directory, `sums-${this.#rebuilds}.db`);
    const { applied } = await this.#app.replay({ projection: Sums, database });
    if (applied !== events) throw new Error(`${applied} events of ${events} were applied`);
  }

  /** A projection that only counts follows the log from its beginning: from its first event to its last. */
  async count(events: number): Promise<{ millis: number; cpuMillis: number }> {
    await this.#app.stop();
    this.#counts += 1;
    let seen = 0;
    let startedAt = 0;
    let cpuBefore = process.cpuUsage();
    let found: { millis: number; cpuMillis: number } | undefined;
    let finish = () => {};
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    @Projection({ name: 'count', version: this.#counts, topics: [LOG] })
    class Count {
      @On(OrderPlaced) placed(): void {
        if (seen === 0) {
          startedAt = performance.now();
          cpuBefore = process.cpuUsage();
        }
        seen += 1;
        if (seen < events) return;
        const { user, system } = process.cpuUsage(cpuBefore);
        found = { millis: performance.now() - startedAt, cpuMillis: (user + system) / 1000 };
        finish();
      }
    }
    this.#app = await start(this.#directory, [Count]);
    await done;
    await this.#app.stop();
    this.#app = await start(this.#directory, HANDLERS);
    if (!found) throw new Error('nothing was counted');
    return found;
  }

  close(): Promise<void> {
    return this.#app.stop();
  }

  #events(count: number): object[] {
    return Array.from({ length: count }, () => {
      this.#serial += 1;
      return event(OrderPlaced, fieldsOf(this.#serial));
    });
  }
}

function start(directory: string, handlers: Parameters<typeof Foldlog.start>[0]['handlers']): Promise<Foldlog> {
  const config = { flushDiskType: 'SYNC_FLUSH' } as const;
  return Foldlog.start({ store: path.join(directory, 'store'), handlers, events: [OrderPlaced], config });
}

function nameOf({ isFolded, hasSnapshot, stream }: LoadWork) {
  if (!isFolded) return { topic: APPENDED, stream };
  const topic = hasSnapshot ? 'kept' : 'plain';
  return { topic, stream: `${topic}:${stream}` };
}
