import { describe, expect, it } from 'vitest';
import { FoldlogError } from '../../src/base/errors.js';
import { LogLines } from '../../src/cli/logLines.js';
import { FakeTerminal } from '../support/fakeTerminal.js';

const TIME = '2026-01-01T00:00:00.000Z';

describe('LogLines', () => {
  it('writes time, level, message and fields; text with blanks is quoted', () => {
    const terminal = new FakeTerminal();
    const log = new LogLines(terminal, { json: false, verbose: false });
    log.release();
    log.warn(
      { brokerName: 'a', why: 'two words', count: 3, error: new FoldlogError('DISK_FULL', 'no room') },
      'odd\nthing',
    );
    expect(terminal.errLines).toEqual([
      `${TIME} WARN  odd thing brokerName=a why="two words" count=3 error="DISK_FULL: no room"`,
    ]);
  });

  it('holds back what is not an error until the command has started', () => {
    const terminal = new FakeTerminal();
    const log = new LogLines(terminal, { json: false, verbose: false });
    log.info({}, 'first');
    log.debug({}, 'never');
    log.warn({}, 'odd');
    expect(terminal.errLines).toEqual([]);
    log.error({}, 'bad');
    log.release();
    log.info({}, 'second');
    expect(terminal.errLines).toEqual([
      `${TIME} ERROR bad`,
      `${TIME} INFO  first`,
      `${TIME} WARN  odd`,
      `${TIME} INFO  second`,
    ]);
  });

  it('bounds what it holds back', () => {
    const terminal = new FakeTerminal();
    const log = new LogLines(terminal, { json: false, verbose: false });
    for (let line = 0; line < 1500; line++) log.info({ line }, 'x');
    log.release();
    expect(terminal.errLines).toHaveLength(1000);
    expect(terminal.errLines[0]).toContain('line=500');
  });

  it('writes everything at once when verbose, with stacks', () => {
    const terminal = new FakeTerminal();
    const log = new LogLines(terminal, { json: false, verbose: true });
    log.debug({}, 'd');
    log.error({ error: new Error('e') }, 'm');
    expect(terminal.errLines[0]).toBe(`${TIME} DEBUG d`);
    expect(terminal.errLines[1]).toContain('at ');
  });

  it('writes JSON objects for machines', () => {
    const terminal = new FakeTerminal();
    const log = new LogLines(terminal, { json: true, verbose: false });
    log.error({ error: new FoldlogError('DISK_FULL', 'no room'), big: 1n }, 'm');
    expect(JSON.parse(terminal.errLines[0]!)).toEqual({
      time: TIME,
      level: 'error',
      msg: 'm',
      error: 'DISK_FULL: no room',
      big: '1',
    });
  });
});
