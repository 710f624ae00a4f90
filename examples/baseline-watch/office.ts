/** An application with one instance of each consumer. Two of them run; the broker shares the queues out between them. */
import { join } from 'node:path';
import { type EventPosition, Foldlog, type GroupLag } from 'foldlog';
import { Container } from 'inversify';
import { Baseline } from './baseline.js';
import { BlinkDesk, type EngineDesk, GeckoDesk, WebKitDesk } from './engineDesk.js';
import { Feature } from './feature.js';
import { logTo } from './logFile.js';
import { Mailbox } from './mailbox.js';
import { Newsletter } from './newsletter.js';
import { Wallboard } from './wallboard.js';

export interface OfficeReport {
  desks: Record<string, number>;
  /** What the wallboard shows, of how many events, and the last of them in each queue. */
  totals: Record<string, number>;
  shown: number;
  newest: EventPosition[];
  /** Mails whose first attempt failed. */
  refused: number;
  lag: GroupLag[];
}

export interface Office {
  app: Foldlog;
  report(): Promise<OfficeReport>;
}

export async function openOffice(namesrv: string, directory: string, name: string): Promise<Office> {
  const container = new Container({ defaultScope: 'Singleton' });
  container.bind(Mailbox).toConstantValue(new Mailbox(join(directory, 'mails.ndjson')));
  // Bound here, so that the report can ask them.
  for (const asked of [Wallboard, Newsletter, BlinkDesk, GeckoDesk, WebKitDesk]) container.bind<object>(asked).toSelf();
  const desks = { Blink: BlinkDesk, Gecko: GeckoDesk, WebKit: WebKitDesk };
  const app = await Foldlog.start({
    namesrv,
    container,
    logger: logTo(join(directory, `office-${name}.log`)),
    // Both offices share the guard: what one has done is done.
    database: join(directory, 'offices.db'),
    localOffsetDirectory: join(directory, 'offsets'),
    // Baseline writes to a feature once or twice.
    aggregateCache: { streams: 500, events: 5_000 },
    handlers: [Feature, Baseline, ...Object.values(desks), Wallboard, Newsletter],
  });
  const report = async (): Promise<OfficeReport> => {
    const changes: Record<string, number> = {};
    for (const [engine, desk] of Object.entries(desks)) {
      const { added, removed } = container.get<EngineDesk>(desk).changes;
      changes[`${engine} added`] = added;
      changes[`${engine} removed`] = removed;
    }
    const { totals, shown, newest } = container.get(Wallboard);
    return {
      desks: changes,
      ...{ totals, shown, newest },
      refused: container.get(Newsletter).refused.length,
      lag: await app.lag(),
    };
  };
  return { app, report };
}
