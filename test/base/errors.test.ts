import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BrokerError, ERROR_CODES, FoldlogError, isFoldlogError, RemotingError } from '../../src/base/errors.js';

describe('error codes', () => {
  it('stand in docs/errors.md with the same meaning, and no others do', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
    const documented = Object.fromEntries(
      [...page.matchAll(/^\| `([A-Z_]+)` *\| (.+?) *\|/gm)].map((row) => [row[1], row[2]]),
    );
    expect(documented).toEqual(ERROR_CODES);
  });

  it('carry facts apart from cause and retriable', () => {
    const cause = new Error('underneath');
    const error = new FoldlogError('DISK_FULL', 'no room', { cause, retriable: true, file: 'x' });
    expect(error).toMatchObject({ code: 'DISK_FULL', retriable: true, cause, details: { file: 'x' } });
  });

  it('are recognised by brand, not by class', () => {
    const foreign = Object.assign(new Error('copy'), { [Symbol.for('foldlog.error')]: true });
    expect(isFoldlogError(foreign)).toBe(true);
    expect(isFoldlogError(new Error('other'))).toBe(false);
    expect(isFoldlogError(new BrokerError(17, 'no topic', 'no topic'))).toBe(true);
  });

  it('of remoting say whether the request may have been executed', () => {
    expect(new RemotingError('REQUEST_TIMEOUT', 'late').mayHaveBeenExecuted).toBe(true);
    expect(new RemotingError('CONNECT_FAILED', 'refused').mayHaveBeenExecuted).toBe(false);
  });
});
