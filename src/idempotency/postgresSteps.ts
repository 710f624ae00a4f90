/**
 * Claim, renew, complete and release as one SQL statement each, for any number of keys at once: atomic for every key
 * by the lock of its row, timed by the server's clock alone. The steps' meaning is the table of `claimSteps.ts`.
 *
 *   foldlog_claims  key -> n, owner, state, lease_until, expires_at, result
 *
 * A statement has one `now`, that of its arrival: who waited for a row gets a lease that ends as if it had not waited.
 * Keys come sorted, so that two statements with the same keys take their rows in the same order.
 */

export const CLAIM_MIGRATIONS = [
  {
    name: 'foldlog-claims-1',
    // Room in every page for the versions of a row's short life, which then need no new index entries.
    sql: `CREATE TABLE foldlog_claims (
            key TEXT PRIMARY KEY, n BIGINT NOT NULL, owner TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('leased', 'released', 'done')),
            lease_until TIMESTAMPTZ NOT NULL, expires_at TIMESTAMPTZ NOT NULL, result TEXT
          ) WITH (fillfactor = 70);
          CREATE INDEX foldlog_claims_by_expiry ON foldlog_claims (expires_at);`,
  },
];

const NOW = 'statement_timestamp()';
const millis = (expression: string) => `${expression} * interval '1 millisecond'`;

const IS_GONE = `c.expires_at <= ${NOW}`;
const IS_OWN = `(NOT ${IS_GONE} AND c.state = 'leased' AND c.owner = excluded.owner)`;
const IS_FREE = `(${IS_GONE} OR ${IS_OWN} OR c.state = 'released' OR (c.state = 'leased' AND c.lease_until <= ${NOW}))`;
const whenFree = (column: string) => `${column} = CASE WHEN ${IS_FREE} THEN excluded.${column} ELSE c.${column} END`;

/**
 * $1 keys, $2 owners, $3 lease in milliseconds, $4 time to live. Every key answers with its record as it is then: of
 * the claimant's own owner and leased means claimed.
 */
export const CLAIM = `
INSERT INTO foldlog_claims AS c (key, n, owner, state, lease_until, expires_at)
SELECT s.key, 1, s.owner, 'leased', ${NOW} + ${millis('s.lease')}, ${NOW} + ${millis('s.ttl')}
FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[]) AS s (key, owner, lease, ttl)
ORDER BY s.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET
  n = CASE WHEN ${IS_GONE} THEN 1 WHEN ${IS_OWN} OR NOT ${IS_FREE} THEN c.n ELSE c.n + 1 END,
  ${['owner', 'state', 'lease_until', 'expires_at', 'result'].map(whenFree).join(',\n  ')}
RETURNING c.key, c.n, c.owner, c.state, c.result,
  ceil(extract(epoch FROM c.lease_until - ${NOW}) * 1000)::float8 AS "leftMillis"`;

/** Rows of the steps' tokens that are still there, locked in order of their keys. */
const held = (columns: string, types: string, states: string) => `
WITH s AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]${types}) AS s (key, n, owner${columns})),
held AS (
  SELECT c.key AS found FROM foldlog_claims AS c JOIN s ON s.key = c.key
  WHERE c.n = s.n AND c.owner = s.owner AND c.expires_at > ${NOW} AND c.state IN (${states})
  ORDER BY c.key COLLATE "C" FOR UPDATE OF c
)`;

/** $4 lease in milliseconds, $5 time to live. Answers the keys whose step is ok; others have lost. */
export const RENEW = `${held(', lease, ttl', ', $4::float8[], $5::float8[]', "'leased', 'done'")}
UPDATE foldlog_claims AS c SET
  lease_until = CASE c.state WHEN 'leased' THEN ${NOW} + ${millis('s.lease')} ELSE c.lease_until END,
  expires_at = CASE c.state WHEN 'leased' THEN ${NOW} + ${millis('s.ttl')} ELSE c.expires_at END
FROM s JOIN held ON held.found = s.key WHERE c.key = s.key
RETURNING c.key`;

/** $4 time to live in milliseconds, $5 results. Of a repeat, the first one's stay. */
export const COMPLETE = `${held(', ttl, result', ', $4::float8[], $5::text[]', "'leased', 'done'")}
UPDATE foldlog_claims AS c SET
  state = 'done',
  expires_at = CASE c.state WHEN 'leased' THEN ${NOW} + ${millis('s.ttl')} ELSE c.expires_at END,
  result = CASE c.state WHEN 'leased' THEN s.result ELSE c.result END
FROM s JOIN held ON held.found = s.key WHERE c.key = s.key
RETURNING c.key`;

export const RELEASE = `${held('', '', "'leased', 'released'")}
UPDATE foldlog_claims AS c SET state = 'released'
FROM s JOIN held ON held.found = s.key WHERE c.key = s.key
RETURNING c.key`;

/** $1 rows at most. Passes over those that a step holds just now. */
export const SWEEP = `
DELETE FROM foldlog_claims WHERE key IN (
  SELECT key FROM foldlog_claims WHERE expires_at <= ${NOW} ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)`;
