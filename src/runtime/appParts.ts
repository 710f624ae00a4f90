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
import { type AppDatabase, openDatabase } from '../database/appDatabase.js';
import { EventCodec } from '../eventstore/eventCodec.js';
import { EventLog } from '../eventstore/eventLog.js';
import { EventReader } from '../eventstore/eventReader.js';
import { EventStore } from '../eventstore/eventStore.js';
import { EventTopics } from '../eventstore/eventTopics.js';
import { Insistence } from '../eventstore/insistence.js';
import { SnapshotKeeper } from '../eventstore/snapshots/snapshotKeeper.js';
import type { SnapshotParts } from '../eventstore/snapshots/snapshotParts.js';
import { UnknownTypes } from '../eventstore/unknownTypes.js';
import { DuplicatesMet } from '../idempotency/duplicatesMet.js';
import { IdempotencyGuard } from '../idempotency/idempotencyGuard.js';
import { TransactionGuard } from '../idempotency/transactionGuard.js';
import type { AppSeams } from './appSeams.js';
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
  unknownTypes: UnknownTypes;
  log: EventLog;
  reader: EventReader;
  topics: EventTopics;
  store: EventStore;
  producer: Producer;
  container: HandlerContainer;
  snapshots: SnapshotParts;
  database: () => Promise<AppDatabase>;
  guard: () => Promise<IdempotencyGuard>;
  transactions: () => Promise<TransactionGuard>;
  duplicates: DuplicatesMet;
  seams: AppSeams;
}

/** How the application reads events, known before anything is opened. */
export interface EventDecoding {
  codec: EventCodec;
  unknownTypes: UnknownTypes;
}

/** Throws OptionsError for event classes and upcasters that do not fit together. */
export function eventDecodingOf(options: FoldlogOptions, { eventClasses, upcasters }: Declarations): EventDecoding {
  const { clock = systemClock, logger = consoleLogger } = options;
  const unknownTypes = new UnknownTypes({ clock, logger });
  const codec = new EventCodec(eventClasses, { upcasters, onUnknown: (message) => unknownTypes.met(message) });
  return { codec, unknownTypes };
}

/** Opens what every application has. */
export async function openParts(
  options: FoldlogOptions,
  declarations: Declarations,
  { codec, unknownTypes }: EventDecoding,
  closes: CloseStack,
  seams: AppSeams = {},
): Promise<AppParts> {
  const { clock = systemClock, logger = consoleLogger } = options;
  closes.push(() => unknownTypes.close());
  const link = await openBrokerLink(options, { clock, logger, files: seams.files }, closes);
  const { session } = link;
  const container = new HandlerContainer(options.container);
  closes.push(() => container.close());
  const database = databaseOpener(options, seams, logger, closes);
  const duplicates = new DuplicatesMet({ clock, logger });
  closes.push(() => duplicates.close());
  const guard = guardOpener(options, { database, duplicates, clock, logger, seams }, closes);
  const transactions = transactionGuardOpener(options, { database, duplicates, clock, logger });
  const insistence = new Insistence({ clock, logger, ...repeatOf(options) });
  closes.push(() => insistence.close());
  const log = new EventLog({ session, insistence });
  const reader = new EventReader({ log, codec });
  const topics = new EventTopics({ session, clock, insistence });
  const store = new EventStore({ log, reader, codec, clock, topics });
  closes.push(() => store.close());
  const producer = new Producer({ session });
  closes.push(() => producer.close());
  const snapshots = { keeper: snapshotKeeperOf({ database, clock, logger }, closes), logger };
  const made = { codec, unknownTypes, log, reader, topics, store, producer, container, snapshots, database };
  const guards = { guard, transactions, duplicates };
  return { options, declarations, clock, logger, link, seams, ...made, ...guards };
}

/** Closed before the database: registered when the database is open. */
function snapshotKeeperOf(
  { database, clock, logger }: Pick<AppParts, 'clock' | 'database' | 'logger'>,
  closes: CloseStack,
): SnapshotKeeper {
  let isRegistered = false;
  const open = async () => {
    const opened = await database();
    if (!isRegistered) closes.push(() => keeper.close());
    isRegistered = true;
    return opened;
  };
  const keeper = new SnapshotKeeper({ database: open, clock, logger });
  return keeper;
}

/** Opens the guard when something first needs it. */
function guardOpener(
  options: FoldlogOptions,
  { seams, ...parts }: Pick<AppParts, 'clock' | 'database' | 'duplicates' | 'logger' | 'seams'>,
  closes: CloseStack,
): () => Promise<IdempotencyGuard> {
  let opening: Promise<IdempotencyGuard> | undefined;
  const open = async () => {
    const { clock, duplicates, logger } = parts;
    const opened = await openClaims({ redis: options.redis, ...parts });
    const claims = seams.claims?.(opened) ?? opened;
    closes.push(() => claims.close());
    return new IdempotencyGuard({ claims, duplicates, clock, logger, ...options.guard });
  };
  return () => {
    opening ??= open().catch((thrown: unknown) => {
      // What is away now may be back when it is needed again.
      opening = undefined;
      throw thrown;
    });
    return opening;
  };
}

/** Opens the guard in transactions of the application's database when something first needs it. */
function transactionGuardOpener(
  { guard: { ttlMillis } = {} }: FoldlogOptions,
  { database, ...parts }: Pick<AppParts, 'clock' | 'database' | 'duplicates' | 'logger'>,
): () => Promise<TransactionGuard> {
  let opening: Promise<TransactionGuard> | undefined;
  const open = async () => {
    const opened = await database();
    const guard = new TransactionGuard({
      database: opened,
      ...parts,
      ...(ttlMillis === undefined ? {} : { ttlMillis }),
    });
    await guard.prepare();
    return guard;
  };
  return () => {
    opening ??= open().catch((thrown: unknown) => {
      // What is away now may be back when it is needed again.
      opening = undefined;
      throw thrown;
    });
    return opening;
  };
}

/** Opens the database when something first needs it. */
function databaseOpener(
  { store, database: named }: FoldlogOptions,
  seams: AppSeams,
  logger: Logger,
  closes: CloseStack,
): () => Promise<AppDatabase> {
  let opening: Promise<AppDatabase> | undefined;
  const open = async () => {
    if (seams.database) return seams.database();
    const text = named ?? (store === undefined ? undefined : joinPath(store, 'app.db'));
    if (text === undefined) {
      throw new OptionsError(
        'database must be given with namesrv: projections, snapshots and the embedded guard live there',
      );
    }
    const database = await openDatabase(text, { logger });
    closes.push(() => database.close());
    return database;
  };
  return () => {
    opening ??= open().catch((thrown: unknown) => {
      // What is away now may be back when it is needed again.
      opening = undefined;
      throw thrown;
    });
    return opening;
  };
}

const repeatOf = ({ repeatForMillis }: FoldlogOptions) => (repeatForMillis === undefined ? {} : { repeatForMillis });
