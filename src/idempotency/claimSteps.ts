/**
 * The four steps of claim-lease-done as pure changes of one record, for the claims that foldlog keeps itself (memory
 * and embedded). Redis runs the same steps as Lua (`redisClaims.ts`); one contract suite holds all of them together.
 *
 *   record            claim             renew, release, complete by its token    by another token
 *   none              n = 1, leased     lost                                     lost
 *   leased, running   busy              ok                                       lost
 *   leased, run out   n + 1, leased     ok (nobody took over)                    lost
 *   released          n + 1, leased     release again: ok, else lost             lost
 *   done              duplicate         ok (a repeat)                            lost
 *
 * A claim, renewal or completion that its owner repeats gets the same answer as the first time.
 */
import type { ClaimOutcome, ClaimToken, StepOutcome } from './idempotencyTypes.js';

export interface ClaimRecord {
  /** How often the effect was begun. */
  n: number;
  /** Who began it last. */
  owner: string;
  state: 'leased' | 'released' | 'done';
  /** When the lease runs out. */
  leaseUntil: number;
  /** When the record is forgotten. */
  expiresAt: number;
  result: string | undefined;
}

/** What a step changes (undefined: nothing) and answers. */
export interface Step<Answer> {
  record: ClaimRecord | undefined;
  answer: Answer;
}

export interface ClaimRequest {
  owner: string;
  leaseMillis: number;
  /** How long the count of begins is remembered. */
  counterTtlMillis: number;
}

export function claimStep(found: ClaimRecord | undefined, request: ClaimRequest, now: number): Step<ClaimOutcome> {
  const record = alive(found, now);
  if (record?.state === 'done') return { record: undefined, answer: { status: 'duplicate', result: record.result } };
  const isOwn = record?.state === 'leased' && record.owner === request.owner;
  if (record?.state === 'leased' && !isOwn && record.leaseUntil > now) {
    return { record: undefined, answer: { status: 'busy', leaseLeftMillis: record.leaseUntil - now } };
  }
  const token = { n: isOwn ? record.n : (record?.n ?? 0) + 1, owner: request.owner };
  const leaseUntil = now + request.leaseMillis;
  return {
    record: { ...token, state: 'leased', leaseUntil, expiresAt: now + request.counterTtlMillis, result: undefined },
    answer: { status: 'claimed', token },
  };
}

export function renewStep(
  found: ClaimRecord | undefined,
  token: ClaimToken,
  request: { leaseMillis: number; counterTtlMillis: number },
  now: number,
): Step<StepOutcome> {
  const record = alive(found, now);
  if (!record || !isOf(record, token) || record.state === 'released') return { record: undefined, answer: 'lost' };
  if (record.state === 'done') return { record: undefined, answer: 'ok' };
  const leaseUntil = now + request.leaseMillis;
  return { record: { ...record, leaseUntil, expiresAt: now + request.counterTtlMillis }, answer: 'ok' };
}

export function completeStep(
  found: ClaimRecord | undefined,
  token: ClaimToken,
  request: { ttlMillis: number; result: string | undefined },
  now: number,
): Step<StepOutcome> {
  const record = alive(found, now);
  if (!record || !isOf(record, token) || record.state === 'released') return { record: undefined, answer: 'lost' };
  if (record.state === 'done') return { record: undefined, answer: 'ok' };
  const { ttlMillis, result } = request;
  return { record: { ...record, state: 'done', leaseUntil: 0, expiresAt: now + ttlMillis, result }, answer: 'ok' };
}

export function releaseStep(found: ClaimRecord | undefined, token: ClaimToken, now: number): Step<StepOutcome> {
  const record = alive(found, now);
  if (!record || !isOf(record, token)) return { record: undefined, answer: 'lost' };
  if (record.state !== 'leased') return { record: undefined, answer: record.state === 'released' ? 'ok' : 'lost' };
  return { record: { ...record, state: 'released', leaseUntil: 0 }, answer: 'ok' };
}

function alive(record: ClaimRecord | undefined, now: number): ClaimRecord | undefined {
  return record && record.expiresAt > now ? record : undefined;
}

function isOf(record: ClaimRecord, token: ClaimToken): boolean {
  return record.n === token.n && record.owner === token.owner;
}
