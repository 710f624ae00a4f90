// What a start sets right or refuses beside the numbered checks (checks/cleanRestart.test.ts, uncleanRestart.test.ts).
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { verifyStore } from '../../src/store/index.js';
import { fingerprint, sizesOf } from '../support/goldenStore.js';
import { copyOf, open, patch, seen, WHOLE } from './checks/fixStore.js';

describe('after a clean stop of RocketMQ', () => {
  it.each([
    [
      'with an index entry that is wrong',
      (directory: string) => {
        const [name = ''] = fs.readdirSync(path.join(directory, 'index'));
        patch(path.join(directory, 'index', name), 40 + 101 * 4 + 100 * 20, [9, 9, 9, 9]);
      },
    ],
    [
      'with an index slot that is wrong',
      (directory: string) => {
        const [name = ''] = fs.readdirSync(path.join(directory, 'index'));
        patch(path.join(directory, 'index', name), 40, Buffer.alloc(101 * 4));
      },
    ],
  ])('%s, the index is set right', async (_, damage) => {
    const directory = copyOf('small-recovered');
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    await store.close();
    expect(verifyStore(directory, sizesOf('small-recovered')).problems).toEqual([]);
  });

  it('a store opened with other sizes than it was written with names the option', async () => {
    const directory = copyOf('small-recovered');
    const before = fingerprint(directory);
    await expect(open(directory, 'default')).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('mappedFileSizeCommitLog'),
    });
    expect(fingerprint(directory)).toEqual(before);
  });
});
