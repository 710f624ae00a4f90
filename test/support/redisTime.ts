/**
 * Lets time pass for claims in Redis: their records are moved back on the server by as much, which to the scripts is the
 * same as waiting. Key by key, so that a cluster takes it too, from a connection to the server that has the keys.
 */
import type { Redis } from 'ioredis';

/** ARGV[1]: milliseconds by which the key grows older. */
const GROW_OLDER = `
local key = KEYS[1]
local left = redis.call('PTTL', key)
if left >= 0 and left <= tonumber(ARGV[1]) then redis.call('DEL', key) else
  local n, deadline, owner = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (.*)$')
  if owner and string.match(key, ':lease$') then
    redis.call('SET', key, string.format('%s %.0f %s', n, deadline - ARGV[1], owner), 'KEEPTTL')
  end
  if left > 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
end`;

export async function growOlder(redis: Redis, prefix: string, millis: number): Promise<void> {
  const keys = await redisKeys(redis, prefix);
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.eval(GROW_OLDER, 1, key, millis);
  for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
}

export async function redisKeys(redis: Redis, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let cursor = '0';
  do {
    const [next, found] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1000);
    keys.push(...found);
    cursor = next;
  } while (cursor !== '0');
  return keys;
}
