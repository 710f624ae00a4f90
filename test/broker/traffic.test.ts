import { describe, expect, it } from 'vitest';
import { Traffic } from '../../src/broker/traffic.js';

describe('traffic', () => {
  it('is the rate of the last whole ten seconds, minute and ten minutes', () => {
    const traffic = new Traffic();
    const start = 1_700_000_000_000;
    for (let second = 0; second < 60; second += 1) traffic.count(start + second * 1000, 5);
    expect(traffic.ratesText(start + 60_000)).toBe('5.00 5.00 0.50');
    expect(traffic.ratesText(start + 90_000)).toBe('0.00 2.50 0.50');
    expect(traffic.total).toBe(300);
  });

  it('forgets after ten minutes, and does not mind a clock that goes back', () => {
    const traffic = new Traffic();
    traffic.count(10_000_000);
    traffic.count(9_000_000);
    expect(traffic.ratesText(10_010_000)).toBe('0.20 0.03 0.00');
    expect(traffic.ratesText(20_000_000)).toBe('0.00 0.00 0.00');
  });
});
