import { describe, expect, it } from 'vitest';
import { DELAY_LEVELS_MAX, parseDelayLevels } from '../../src/config/delayLevels.js';

describe('parseDelayLevels', () => {
  it('reads every unit, level 1 first', () => {
    expect(parseDelayLevels('1s 5m  2h 1d')).toEqual([1000, 300_000, 7_200_000, 86_400_000]);
  });

  it.each(['', ' ', '1', 's', '1x', '-1s', '1.5s', '1s,2s'])('refuses %j', (text) => {
    expect(parseDelayLevels(text)).toBeUndefined();
  });

  it('bounds the number of levels', () => {
    expect(parseDelayLevels('1s '.repeat(DELAY_LEVELS_MAX))).toHaveLength(DELAY_LEVELS_MAX);
    expect(parseDelayLevels('1s '.repeat(DELAY_LEVELS_MAX + 1))).toBeUndefined();
  });
});
