import { describe, expect, it } from 'vitest';
import { MemoryClaims } from '../../src/idempotency/memoryClaims.js';
import { describeClaims } from '../contract/claims.js';
import { ManualClock } from '../support/manualClock.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);

describeClaims('in memory', {
  unitMillis: 1000,
  runs: RUNS,
  async open() {
    const clock = new ManualClock();
    const claims = new MemoryClaims({ clock });
    return { claims, pass: async (millis) => clock.advance(millis), close: () => claims.close() };
  },
});

describe('claims in memory', () => {
  it('refuse at their bound rather than forget, and take new ones when old ones have expired', async () => {
    const clock = new ManualClock();
    const claims = new MemoryClaims({ clock, recordsMax: 10, counterTtlMillis: 1000 });
    for (let at = 0; at < 10; at++) await claims.claim(`key-${at}`, 'ann', 100);
    await expect(claims.claim('one more', 'ann', 100)).rejects.toMatchObject({ code: 'GUARD_UNAVAILABLE' });
    expect(await claims.claim('key-3', 'bob', 100)).toMatchObject({ status: 'busy' });
    clock.advance(1000);
    expect(await claims.claim('one more', 'ann', 100)).toMatchObject({ status: 'claimed' });
  });

  it('are refused after the close', async () => {
    const claims = new MemoryClaims();
    await claims.close();
    await expect(claims.claim('key', 'ann', 100)).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });
});
