/**
 * The parts of an application and how they are opened: the link to the broker first, what reads and writes events on
 * top of it, databases and guard only when something needs them. Each is registered for closing where it is opened.
 */
import type { Clock } from '../base/clock.js';
import { systemClock } from '../base/clock.js';
import { OptionsError } from '../base/errors.js';
import { joinPath } from '../base/files.js';
import type { CloseStack } from '../base/lifecycle.js';
import type { Logger } from '../base/logger.js';
import { Producer } from '../client/producer.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import { EventLog } from '../eventstore/eventLog.js';
import { EventReader } from '../eventstore/eventReader.js';
import { EventStore } from '../eventstore/eventStore.js';
import { EventTopics } from '../eventstore/eventTopics.js';
import { IdempotencyGuard } from '../idempotency/idempotencyGuard.js';
import { type BrokerLink, openBrokerLink } from './brokerLink.js';
import { consoleLogger } from './consoleLogger.js';
import type { Declarations, FoldlogOptions } from './foldlogOptions.js';
import { HandlerContainer } from './handlerContainer.js';
import { openClaims } from './idempotencyClaims.js';

/** The parts of a running application. */
export interface AppParts {
  options: FoldlogOptions;
  declarations: Declarations;
  clock: Clock;
  logger: Logger;
  link: BrokerLink;
  codec: EventCodec;
  log: EventLog;
  reader: EventReader;
  topics: EventTopics;
  store: EventStore;
  producer: Producer;
  container: HandlerContainer;
  database: () => Promise<SqliteDatabase>;
  guard: () => Promise<IdempotencyGuard>;
}

/** Opens what every application has. */
export async function openParts(
  options: FoldlogOptions,
  declarations: Declarations,
  codec: EventCodec,
  closes: CloseStack,
): Promise<AppParts> {
  const { clock = systemClock, logger = consoleLogger } = options;
  const link = await openBrokerLink(options, { clock, logger }, closes);
  const { session } = link;
  const container = new HandlerContainer(options.container);
  closes.push(() => container.close());
  const database = databaseOpener(options, closes);
  const guard = guardOpener(options, { database, clock, logger }, closes);
  const log = new EventLog({ session, clock, logger, ...repeatOf(options) });
  closes.push(() => log.close());
  const reader = new EventReader({ log, codec });
  const topics = new EventTopics({ session, clock });
  const store = new EventStore({ log, reader, codec, clock, topics });
  const producer = new Producer({ session });
  closes.push(() => producer.close());
  const made = { codec, log, reader, topics, store, producer, container, database, guard };
  return { options, declarations, clock, logger, link, ...made };
}

/** Opens the guard when something first needs it. */
function guardOpener(
  options: FoldlogOptions,
  parts: Pick<AppParts, 'clock' | 'database' | 'logger'>,
  closes: CloseStack,
): () => Promise<IdempotencyGuard> {
  let opening: Promise<IdempotencyGuard> | undefined;
  const open = async () => {
    const { clock, logger } = parts;
    const claims = await openClaims({ redis: options.redis, ...parts });
    closes.push(() => claims.close());
    return new IdempotencyGuard({ claims, clock, logger, ...options.guard });
  };
  return () => {
    opening ??= open();
    return opening;
  };
}

/** Opens the database when something first needs it. */
function databaseOpener({ store, database: file }: FoldlogOptions, closes: CloseStack): () => Promise<SqliteDatabase> {
  let opening: Promise<SqliteDatabase> | undefined;
  const open = async () => {
    const path = file ?? (store === undefined ? undefined : joinPath(store, 'app.db'));
    if (path === undefined) {
      throw new OptionsError('database must be given with namesrv: projections and the embedded guard live there');
    }
    const { SqliteDatabase: Database } = await import('../database/sqliteDatabase.js');
    const database = Database.open(path);
    closes.push(() => database.close());
    return database;
  };
  return () => {
    opening ??= open();
    return opening;
  };
}

const repeatOf = ({ repeatForMillis }: FoldlogOptions) => (repeatForMillis === undefined ? {} : { repeatForMillis });
