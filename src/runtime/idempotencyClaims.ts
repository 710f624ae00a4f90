/** Where the guard's claims live: in Redis when one is given, else in the application's database. */
import type { Redis } from 'ioredis';
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import type { Claims } from '../idempotency/idempotencyTypes.js';

export async function openClaims(parts: {
  redis: string | Redis | undefined;
  database: () => Promise<SqliteDatabase>;
  clock: Clock;
  logger: Logger;
}): Promise<Claims> {
  const { redis, clock, logger } = parts;
  if (redis === undefined) {
    const { EmbeddedClaims } = await import('../idempotency/embeddedClaims.js');
    return new EmbeddedClaims({ database: await parts.database(), clock });
  }
  const { RedisClaims } = await import('../idempotency/redisClaims.js');
  return typeof redis === 'string'
    ? RedisClaims.connect(redis, { clock, logger })
    : new RedisClaims({ redis, clock, logger });
}
