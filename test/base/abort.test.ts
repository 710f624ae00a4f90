import { describe, expect, it } from 'vitest';
import { sharedAbortController } from '../../src/base/abort.js';

describe('sharedAbortController', () => {
  it('takes many listeners without a warning of a leak', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const { signal } = sharedAbortController();
    for (let count = 0; count < 50; count += 1) signal.addEventListener('abort', () => {});
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });
});
