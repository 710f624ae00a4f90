/**
 * The whole run: servers, services, intake, the crash in the middle, the replays, and the table at the end. Everything
 * is on loopback and on a fresh directory; each process is ended by its id, whatever happens.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Foldlog, type HandlerClass } from 'foldlog';
import { Session } from 'foldlog/client';
import { NEWS_TOPIC, TOPIC } from './browsers.js';
import { Feature } from './feature.js';
import { independently } from './independently.js';
import { intake } from './intake.js';
import { logTo } from './logFile.js';
import { type Mail, Mailbox } from './mailbox.js';
import { MemoryWatch } from './memory.js';
import { forwardNews } from './news.js';
import { Notes } from './notes.js';
import { Offices } from './offices.js';
import { messageOf, Processes, type Servers, startServers } from './processes.js';
import { Progress } from './progress.js';
import { replays } from './replays.js';
import type { Row } from './report.js';
import { rowsOf } from './rows.js';
import { linesOf } from './statements.js';
import { storedIn } from './stored.js';
import { SupportProjection } from './supportProjection.js';
import { until } from './until.js';

export interface BaselineWatchOptions {
  /** Leave the directory with the store behind. */
  keep: boolean;
  /** 1: all features. n: every n-th, for a quick look. */
  every: number;
  /** What folds the support tables, live and in the replays. */
  projection: HandlerClass;
}

export const DEFAULT_OPTIONS: BaselineWatchOptions = { keep: false, every: 1, projection: SupportProjection };

export interface Outcome {
  rows: Row[];
  /** Where the store is; removed unless it was to be kept. */
  directory: string;
  seconds: number;
  peakMiB: number | undefined;
}

interface Aftermath {
  crashedAt: Date;
  forwarder: ChildProcess;
}

/** The day of the replay by occurred time. */
const PAST_DAY = '2016-04-01';
/** Of all features; fewer features make less news. */
const SENT_BEFORE_DEATH = 900;

export async function baselineWatch(options: BaselineWatchOptions): Promise<Outcome> {
  const startedAt = performance.now();
  const directory = mkdtempSync(join(tmpdir(), 'baseline-watch-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  if (!options.keep) process.once('exit', remove);
  const memory = new MemoryWatch();
  const run = new Run(directory, options);
  try {
    const rows = await run.run();
    memory.sample();
    return { rows, directory, seconds: (performance.now() - startedAt) / 1000, peakMiB: memory.peakMiB };
  } finally {
    memory.stop();
    await run.end();
  }
}

class Run {
  readonly #directory: string;
  readonly #options: BaselineWatchOptions;
  readonly #progress = new Progress();
  readonly #processes = new Processes();
  readonly #notes: Notes;
  /** What is to be closed before the processes end. */
  readonly #opened: { close(): Promise<void> }[] = [];

  constructor(directory: string, options: BaselineWatchOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#notes = new Notes(this.#path('notes.ndjson'));
  }

  async run(): Promise<Row[]> {
    const servers = await startServers(this.#processes, this.#path('store'));
    const { namesrvAddr } = servers;
    this.#progress.say(`name server ${namesrvAddr}, broker and store in ${this.#directory}`);
    const [total, app, session, offices] = await Promise.all([
      this.#extract(),
      this.#startApp(namesrvAddr),
      Session.open({ namesrvAddr }),
      Offices.start(this.#processes, namesrvAddr, this.#directory),
    ]);
    this.#opened.push(session);
    return Promise.race([this.#work(app, session, offices, servers, total), offices.failure]);
  }

  async #work(app: Foldlog, session: Session, offices: Offices, servers: Servers, total: number): Promise<Row[]> {
    const { every, projection } = this.#options;
    const { crashedAt, forwarder } = await this.#takeIn(app, servers, total);
    await this.#settle(app, session, offices);
    const mails = await this.#allMails(session, offices);
    const reports = await offices.reports();
    const newsStored = await storedIn(session, NEWS_TOPIC);
    // Nobody needs them any more, and the independent code needs their memory.
    await Promise.all([offices.stop(), this.#processes.stop(forwarder)]);

    const notes = this.#notes.close();
    const [replayed, expected] = await Promise.all([
      replays(app, projection, { day: PAST_DAY, crashedAt, directory: this.#directory }),
      independently(every, PAST_DAY, notes),
    ]);
    this.#progress.say('replayed by occurred and by stored time');
    const { database } = app.projection(projection);
    const rows = rowsOf({ database, replayed, reports, mails, newsStored, expected });
    await Promise.all([replayed.past.close(), replayed.sinceCrash.close()]);
    return rows;
  }

  /** Resolves with the number of statements. */
  async #extract(): Promise<number> {
    const program = this.#processes.fork('./extract.ts', this.#path('statements.ndjson'), String(this.#options.every));
    return Number(await messageOf(program, 'reading the statements'));
  }

  async #startApp(namesrvAddr: string): Promise<Foldlog> {
    const app = await Foldlog.start({
      namesrv: namesrvAddr,
      database: this.#path('support.db'),
      logger: logTo(this.#path('intake.log')),
      handlers: [Feature, this.#options.projection],
    });
    this.#opened.push({ close: () => app.stop() });
    return app;
  }

  /** Intake, and half-way the crash; after it the forwarder with a death of its own. */
  async #takeIn(app: Foldlog, servers: Servers, total: number): Promise<Aftermath> {
    const statements = linesOf(this.#path('statements.ndjson'));
    const show = this.#progress.task('statements appended', total);
    let done = 0;
    let aftermath: Promise<Aftermath> | undefined;
    await intake(statements, app.aggregate(Feature), (statement, result) => {
      this.#notes.take(statement, result);
      show(++done);
      if (done !== Math.ceil(total / 2)) return;
      aftermath = this.#crash(servers);
      // Whoever awaits it gets the failure; until then it must not end the process.
      aftermath.catch(() => {});
    });
    if (!aftermath) throw new Error('there was nothing to take in');
    return aftermath;
  }

  /** Kills the servers, starts them on the same directory and ports, and goes on with the news. */
  async #crash(servers: Servers): Promise<Aftermath> {
    await this.#processes.kill(servers.child);
    const crashedAt = new Date();
    this.#progress.say('broker killed with SIGKILL, appends under way');
    await startServers(this.#processes, this.#path('store'), servers.ports);
    this.#progress.say('broker started again on the same directory');
    const forwarder = await forwardNews(this.#processes, {
      namesrvAddr: servers.namesrvAddr,
      directory: this.#directory,
      sentBeforeDeath: Math.ceil(SENT_BEFORE_DEATH / this.#options.every),
      say: (line) => this.#progress.say(line),
    });
    return { crashedAt, forwarder };
  }

  /** Baseline appends to the topic that all others read, so it comes first. */
  async #settle(app: Foldlog, session: Session, offices: Offices): Promise<void> {
    await this.#wait('baseline has judged everything', async () =>
      offices.areSettled('baseline', await storedIn(session, TOPIC)),
    );
    await this.#wait('the wallboards have shown everything', async () => {
      const stored = await storedIn(session, TOPIC);
      return (await offices.reports()).every(({ shown }) => shown === stored);
    });
    const [{ newest }] = await offices.reports();
    const projection = app.projection(this.#options.projection);
    await Promise.all(newest.map((position) => projection.waitFor(position, { timeoutMillis: 60_000 })));
    this.#progress.say('the projection has applied everything');
  }

  /** Mails that were refused come with a redelivery, some seconds later. */
  async #allMails(session: Session, offices: Offices): Promise<Mail[]> {
    const mailbox = new Mailbox(this.#path('mails.ndjson'));
    const stored = await storedIn(session, TOPIC);
    for (const desk of ['blink-desk', 'gecko-desk', 'webkit-desk']) {
      await this.#wait(`the ${desk} has settled everything`, () => offices.areSettled(desk, stored));
    }
    await this.#wait('the newsletter has mailed everything', async () => {
      const [{ totals }] = await offices.reports();
      const mailed = new Set(mailbox.read().map(({ eventId }) => eventId));
      return mailed.size >= (totals['BaselineReached'] ?? 0);
    });
    return mailbox.read();
  }

  async #wait(what: string, isSo: () => Promise<boolean>): Promise<void> {
    if (await until(isSo)) this.#progress.say(what);
    else this.#progress.say(`waited in vain until ${what}`);
  }

  async end(): Promise<void> {
    this.#progress.stop();
    for (const one of this.#opened.reverse()) await one.close();
    await this.#processes.stopAll();
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
