/** Where the guard's claims live: in Redis when one is given, else in the application's database. */
import type { Cluster, Redis } from 'ioredis';
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { Claims } from '../idempotency/idempotencyTypes.js';

export async function openClaims(parts: {
  redis: string | Redis | Cluster | undefined;
  database: () => Promise<AppDatabase>;
  clock: Clock;
  logger: Logger;
}): Promise<Claims> {
  const { redis, clock, logger } = parts;
  if (redis === undefined) {
    const database = await parts.database();
    if (database.kind === 'postgres') {
      const { PostgresClaims } = await import('../idempotency/postgresClaims.js');
      return new PostgresClaims({ database, clock, logger });
    }
    const { EmbeddedClaims } = await import('../idempotency/embeddedClaims.js');
    return new EmbeddedClaims({ database, clock });
  }
  const { RedisClaims } = await import('../idempotency/redisClaims.js');
  return typeof redis === 'string'
    ? RedisClaims.connect(redis, { clock, logger })
    : new RedisClaims({ redis, clock, logger });
}
