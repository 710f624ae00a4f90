/** Exactly one response per request, none for one-way requests, and every error in its place. */
import { describe, expect, it } from 'vitest';
import { BrokerError, FoldlogError, OptionsError } from '../../src/base/errors.js';
import type { Logger } from '../../src/base/logger.js';
import { silentLogger } from '../../src/base/logger.js';
import { defineHeader, field } from '../../src/protocol/headers/headerFields.js';
import type { RemotingCommand, ResponseFields } from '../../src/protocol/remotingCommand.js';
import { COMMAND_FLAG, requestCommand } from '../../src/protocol/remotingCommand.js';
import type { Peer } from '../../src/remoting/processor.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';

/** Rows here never look at their peer beyond its name. */
const PEER = { id: 'peer-of-the-test' } as Peer;
const CODE = 34;

function tableOf(handle: (numbers: { n: number }) => ResponseFields | Promise<ResponseFields>, logger = silentLogger) {
  return new ProcessorTable({
    lanes: { only: { maxInFlight: 2 } },
    logger,
    rows: [
      processor({
        code: CODE,
        header: defineHeader({ n: field.int }),
        lane: 'only',
        handle: ({ header }) => handle(header),
      }),
    ],
  });
}

const request = (extFields: Record<string, string> = { n: '1' }, flag = 0): RemotingCommand => ({
  ...requestCommand(CODE, extFields),
  flag,
});

function loggerInto(lines: string[]): Logger {
  return { ...silentLogger, error: (_, message) => lines.push(message) };
}

describe('ProcessorTable', () => {
  it('answers a value without a promise, echoing opaque and header type', () => {
    const table = tableOf(({ n }) => ({ code: 0, extFields: { twice: String(n * 2) } }));
    const sent: RemotingCommand = { ...request({ n: '21' }), opaque: 77, serializeType: 'ROCKETMQ' };
    expect(table.dispatch(sent, PEER)).toMatchObject({
      code: 0,
      opaque: 77,
      flag: COMMAND_FLAG.RESPONSE,
      extFields: { twice: '42' },
      serializeType: 'ROCKETMQ',
    });
  });

  it('answers an unknown code with 3 and upstream’s remark', () => {
    expect(tableOf(() => ({ code: 0 })).dispatch({ ...request(), code: 9999 }, PEER)).toMatchObject({
      code: 3,
      remark: ' request type 9999 not supported',
    });
  });

  it('never answers one-way requests, whatever happens', async () => {
    const lines: string[] = [];
    const handlers: ((numbers: { n: number }) => ResponseFields | Promise<ResponseFields>)[] = [
      () => ({ code: 0 }),
      async () => ({ code: 0 }),
      () => {
        throw new Error('broken');
      },
      () => Promise.reject(new Error('broken later')),
    ];
    for (const handle of handlers) {
      expect(await tableOf(handle, loggerInto(lines)).dispatch(request(undefined, COMMAND_FLAG.ONEWAY), PEER)).toBe(
        undefined,
      );
    }
    const table = tableOf(() => ({ code: 0 }));
    expect(table.dispatch({ ...request(undefined, COMMAND_FLAG.ONEWAY), code: 9999 }, PEER)).toBe(undefined);
    expect(table.dispatch(request({}, COMMAND_FLAG.ONEWAY), PEER)).toBe(undefined);
    expect(lines).toHaveLength(2);
  });

  it.each([
    ['a field that is missing', {}, 'header field n is missing'],
    ['a field that does not parse', { n: 'x' }, 'header field n is not a whole number in range: "x"'],
  ])('answers %s with SYSTEM_ERROR and says which, without a log line', (_, extFields, remark) => {
    const lines: string[] = [];
    const table = tableOf(() => ({ code: 0 }), loggerInto(lines));
    expect(table.dispatch(request(extFields as Record<string, string>), PEER)).toMatchObject({ code: 1, remark });
    expect(lines).toEqual([]);
  });

  it.each([
    [new BrokerError(26, 'Group G not exist!', 'm'), 26, 'Group G not exist!', false],
    [new FoldlogError('FRAME_INVALID', 'heartbeat.clientID is missing'), 1, 'heartbeat.clientID is missing', false],
    [new OptionsError('wrong option'), 1, 'wrong option', true],
    [new Error('defect'), 1, 'defect', true],
    ['a text', 1, 'a text', true],
  ])('answers what a handler throws: %s', async (thrown, code, remark, isLogged) => {
    for (const handle of [
      () => {
        throw thrown;
      },
      () => Promise.reject(thrown),
    ]) {
      const lines: string[] = [];
      expect(await tableOf(handle, loggerInto(lines)).dispatch(request(), PEER)).toMatchObject({ code, remark });
      expect(lines).toHaveLength(isLogged ? 1 : 0);
    }
  });

  it('answers SYSTEM_BUSY over the bound of a lane, and takes requests again when one is done', async () => {
    const finish: ((fields: ResponseFields) => void)[] = [];
    const table = tableOf(() => new Promise((resolve) => finish.push(resolve)));
    const first = table.dispatch(request(), PEER);
    void table.dispatch(request(), PEER);
    expect(table.dispatch(request(), PEER)).toMatchObject({
      code: 2,
      remark: '[OVERLOAD]system busy, start flow control for a while',
    });
    expect(finish).toHaveLength(2);
    finish[0]?.({ code: 0 });
    expect(await first).toMatchObject({ code: 0 });
    void table.dispatch(request(), PEER);
    expect(finish).toHaveLength(3);
  });

  it('frees the lane when a handler fails', async () => {
    const table = tableOf(() => Promise.reject(new Error('x')));
    for (let count = 0; count < 5; count += 1) expect(await table.dispatch(request(), PEER)).toMatchObject({ code: 1 });
  });

  it('is refused with two rows of one code, or with a lane that is not there', () => {
    const row = processor({ code: 1, header: defineHeader({}), lane: 'a', handle: () => ({ code: 0 }) });
    expect(() => new ProcessorTable({ rows: [row, row], lanes: { a: { maxInFlight: 1 } } })).toThrow(/one row/);
    expect(() => new ProcessorTable({ rows: [row], lanes: {} })).toThrow(/lane a/);
  });
});
