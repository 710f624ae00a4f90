/**
 * Claim-lease-done as Lua: one script per step, atomic on the server, timed by the server's clock alone. The steps'
 * meaning is the table of `claimSteps.ts`.
 *
 *   KEYS[1]  …:n      how often the effect was begun (INCR)
 *   KEYS[2]  …:lease  `<n> <deadline> <owner>`; stays behind when it has run out, so that its owner can still complete
 *                     as long as nobody took over, also when Redis had forgotten the count in between
 *   KEYS[3]  …:done   `<n> <owner> -` or `<n> <owner> +<result>`
 */
import { createHash } from 'node:crypto';
import { hashedKeyOf, holdsHalfPair } from './effectKey.js';

/**
 * The three keys of an effect. What stands in the first pair of braces decides the hash slot of a Redis Cluster, so
 * they share one. An empty pair would not count, and each key would have a slot of its own: a key that begins with `}`
 * gets a `%` before it, as do the empty one and, to be told apart, those that begin with `%`. One that UTF-8 cannot hold
 * is hashed, and begins with a single `%` then.
 */
export function redisKeysOf(keyPrefix: string, key: string): [n: string, lease: string, done: string] {
  const name = holdsHalfPair(key) ? hashedKeyOf(key) : `${/^(?:[}%]|$)/.test(key) ? '%' : ''}${key}`;
  const base = `${keyPrefix}{${name}}`;
  return [`${base}:n`, `${base}:lease`, `${base}:done`];
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

const LEASE = `
local lease = redis.call('GET', KEYS[2])
local leaseN, deadline, leaseOwner
if lease then leaseN, deadline, leaseOwner = string.match(lease, '^(%d+) (%d+) (.*)$') end`;

/** ARGV[1] n, ARGV[2] owner: answers by the done record, if there is one. */
const DONE = `
local done = redis.call('GET', KEYS[3])
if done then
  local doneN, doneOwner = string.match(done, '^(%d+) (%S+) ')
  if doneN == ARGV[1] and doneOwner == ARGV[2] then return IF_OWN end
  return 'lost'
end`;

/** Of `n`, for `owner`, `leaseMillis` from now; the count is kept as long. */
const SET_LEASE = `
local function setLease(n, owner, leaseMillis, ttlMillis)
  redis.call('SET', KEYS[2], string.format('%.0f %.0f ', n, now + leaseMillis) .. owner, 'PX', ttlMillis)
  redis.call('PEXPIRE', KEYS[1], ttlMillis)
end`;

export interface RedisScript {
  lua: string;
  sha1: string;
}

function script(lua: string): RedisScript {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') };
}

/** ARGV: owner, leaseMillis, counterTtlMillis. Answers [status, n | milliseconds left | done record]. */
export const CLAIM = script(`
local done = redis.call('GET', KEYS[3])
if done then return {'duplicate', done} end
${NOW}
${LEASE}
${SET_LEASE}
local n
if leaseOwner == ARGV[1] then
  n = leaseN
else
  if deadline and tonumber(deadline) > now then return {'busy', string.format('%.0f', deadline - now)} end
  n = redis.call('INCR', KEYS[1])
end
setLease(n, ARGV[1], ARGV[2], ARGV[3])
return {'claimed', tostring(n)}`);

/** ARGV: n, owner, leaseMillis, counterTtlMillis. */
export const RENEW = script(`
${DONE.replace('IF_OWN', "'ok'")}
${LEASE}
if leaseN ~= ARGV[1] or leaseOwner ~= ARGV[2] then return 'lost' end
${NOW}
${SET_LEASE}
setLease(leaseN, leaseOwner, ARGV[3], ARGV[4])
return 'ok'`);

/** ARGV: n, owner, ttlMillis, result with its sign. */
export const COMPLETE = script(`
${DONE.replace('IF_OWN', "'ok'")}
${LEASE}
if leaseN ~= ARGV[1] or leaseOwner ~= ARGV[2] then return 'lost' end
redis.call('SET', KEYS[3], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[4], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'ok'`);

/** ARGV: n, owner. */
export const RELEASE = script(`
${DONE.replace('IF_OWN', "'lost'")}
${LEASE}
if lease then
  if leaseN ~= ARGV[1] or leaseOwner ~= ARGV[2] then return 'lost' end
  redis.call('DEL', KEYS[2])
  return 'ok'
end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 'ok' end
return 'lost'`);
