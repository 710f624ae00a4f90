import { describe, expect, it } from 'vitest';
import { nearestWord } from '../../src/config/nearest.js';

describe('nearestWord', () => {
  it.each([
    ['flushdisktype', 'flushDiskType'],
    ['flusDiskType', 'flushDiskType'],
    ['listenport', 'listenPort'],
    ['xyz', 'brokerId'],
  ])('%s -> %s', (word, nearest) => {
    expect(nearestWord(word, ['brokerId', 'listenPort', 'flushDiskType'])).toBe(nearest);
  });

  it('has no answer without candidates', () => {
    expect(nearestWord('a', [])).toBeUndefined();
  });
});
