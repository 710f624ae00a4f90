/**
 * Where a test kit takes part in an application: places at which the application's own parts meet, so that nothing of
 * them has to be copied or faked. Applications leave all of it out.
 *
 *     disk      <- files ->      embedded broker, offsets of BROADCASTING groups
 *     consumer  <- listener ->   handler pipeline, projection
 *     pipeline  <- handler ->    the handler object
 *     guard     <- claims ->     where claims are kept
 */
import type { Files } from '../base/files.js';
import type { ConsumeMode, MessageListener } from '../client/clientTypes.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { Claims } from '../idempotency/idempotencyTypes.js';

/** Who consumes at a seam. */
export interface SeamConsumer {
  group: string;
  mode: ConsumeMode;
}

export interface AppSeams {
  /** In place of the disk. */
  files?: Files;
  /** In place of the one that the options name; asked for when something needs it, closed by whoever gives it. */
  database?: () => AppDatabase;
  /** Gets what a consumer or projection does with messages, gives what the consumer calls. */
  listener?(next: MessageListener, consumer: SeamConsumer): MessageListener;
  /** Gets what the container made, gives the object whose methods are called for the group's events. */
  handler?(handler: object, called: { group: string; members: readonly string[] }): object;
  claims?(claims: Claims): Claims;
}
