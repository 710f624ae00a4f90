import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { FoldlogError, InvariantError } from '../../src/base/errors.js';
import { errorLine, exitCodeOf, usageError } from '../../src/cli/errorLine.js';

const line = (thrown: unknown) => errorLine(thrown, { verbose: false });

describe('errorLine', () => {
  it('is the message of a coded error, on one line', () => {
    expect(line(new FoldlogError('PORT_TAKEN', 'port 1 is taken:\n  stop what listens there'))).toBe(
      'port 1 is taken: stop what listens there',
    );
  });

  it('names file and reason of a system error', () => {
    const error = Object.assign(new Error("EACCES: permission denied, open '/x/y'"), { code: 'EACCES', path: '/x/y' });
    expect(line(error)).toBe('/x/y: permission denied');
    expect(line(Object.assign(new Error('EMFILE: all open'), { code: 'EMFILE' }))).toMatch(
      /^too many open files.*EMFILE/,
    );
    expect(line(Object.assign(new Error('EWHAT: odd'), { code: 'EWHAT' }))).toBe('EWHAT: odd');
  });

  it('says of defects where to see more', () => {
    expect(line(new InvariantError('x'))).toContain('--verbose shows where');
    expect(line(new TypeError('x is not a function'))).toBe(
      'unexpected error: x is not a function (--verbose shows where)',
    );
    expect(line('thrown text')).toBe('thrown text');
  });

  it('shows the stack when asked', () => {
    expect(errorLine(new FoldlogError('PORT_TAKEN', 'm'), { verbose: true })).toMatch(/^m\nFoldlogError: m\n\s+at /);
  });
});

describe('exitCodeOf', () => {
  it('tells wrong usage from failure', () => {
    expect(exitCodeOf(new FoldlogError('PORT_TAKEN', 'm'))).toBe(1);
    expect(exitCodeOf(usageError('m'))).toBe(2);
    expect(exitCodeOf(new CommanderError(1, 'commander.unknownOption', 'm'))).toBe(2);
    expect(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', 'm'))).toBe(0);
  });
});
