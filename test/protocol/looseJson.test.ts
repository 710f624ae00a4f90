/** Both dialects of Apache's JSON: what its servers write, and what none of them would. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FoldlogError } from '../../src/base/errors.js';
import { parseLooseJson, writeFastJson, writeStandardJson } from '../../src/protocol/looseJson.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);

describe('parseLooseJson', () => {
  it('reads unquoted and quoted numbers as keys alike', () => {
    expect(parseLooseJson('{"brokerAddrs":{0:"127.0.0.1:40911",1:"a:1"}}')).toEqual({
      brokerAddrs: { 0: '127.0.0.1:40911', 1: 'a:1' },
    });
    expect(parseLooseJson('{"brokerAddrs":{"0":"127.0.0.1:40911"}}')).toEqual({
      brokerAddrs: { 0: '127.0.0.1:40911' },
    });
  });

  it('reads objects as keys into a Map', () => {
    const parsed = parseLooseJson(
      '{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"maxOffset":2},{"brokerName":"b","queueId":1,"topic":"T"}:{"maxOffset":3}}}',
    ) as { offsetTable: Map<unknown, unknown> };
    expect([...parsed.offsetTable]).toEqual([
      [{ brokerName: 'b', queueId: 0, topic: 'T' }, { maxOffset: 2 }],
      [{ brokerName: 'b', queueId: 1, topic: 'T' }, { maxOffset: 3 }],
    ]);
  });

  it('reads everything JSON has beside such keys', () => {
    expect(parseLooseJson('{ 1 : [ true , null , -1.5e3 , "a\\"\\u0041" , { } , [ ] ] , 2:{3:{}} }')).toEqual({
      1: [true, null, -1500, 'a"A', {}, []],
      2: { 3: {} },
    });
  });

  it('keeps a key called __proto__ a key', () => {
    const parsed = parseLooseJson('{0:1,"__proto__":{"polluted":1}}') as object;
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect(Object.hasOwn(parsed, '__proto__')).toBe(true);
  });

  it.each([
    '',
    '{',
    '{0:',
    '{0:1',
    '{0 1}',
    '[1 2]',
    '{{}:1',
    '{{}:1,"a":2}',
    '{0:1}x',
    '"a',
    "{0:'a'}",
    '{0:nul}',
    '{,}',
  ])('%j is refused', (text) => {
    expect(() => parseLooseJson(text)).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });

  it('bounds the depth', () => {
    for (const open of ['[', '{0:', '{']) {
      expect(() => parseLooseJson(open.repeat(100_000))).toThrow(FoldlogError);
    }
  });
});

describe('writing', () => {
  const value = {
    table: new Map([
      [1, 'b'],
      [0, 'a'],
    ]),
    none: undefined,
    nil: null,
    list: [1, 'ü'],
    byQueue: new Map([[{ topic: 'T', queueId: 0, brokerName: 'b' }, 2]]),
  };

  it('sorts, leaves out what is not there, and quotes keys by dialect', () => {
    expect(writeFastJson(value)).toBe(
      '{"byQueue":{{"brokerName":"b","queueId":0,"topic":"T"}:2},"list":[1,"ü"],"table":{0:"a",1:"b"}}',
    );
    expect(writeStandardJson({ ...value, byQueue: undefined })).toBe(
      '{"list":[1,"\\u00fc"],"table":{"0":"a","1":"b"}}',
    );
  });

  it('is read back in both dialects', () => {
    const keyed = fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean()));
    fc.assert(
      fc.property(keyed, fc.dictionary(fc.nat(1000).map(String), fc.string()), (plain, numbered) => {
        const table = new Map(Object.entries(numbered).map(([key, item]) => [Number(key), item]));
        for (const write of [writeFastJson, writeStandardJson]) {
          const read = parseLooseJson(write({ plain: new Map(Object.entries(plain)), table })) as typeof value;
          expect(Object.entries(read).map(([name, item]) => [name, { ...(item as object) }])).toEqual([
            ['plain', { ...plain }],
            ['table', { ...numbered }],
          ]);
        }
      }),
      { numRuns: runs },
    );
  });

  it('is never parsed with anything but a value or FRAME_INVALID', () => {
    const piece = fc.constantFrom('{', '}', '[', ']', ':', ',', '0', '"a"', 'null', ' ', '"', 'x', '\\');
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          parseLooseJson(pieces.join(''));
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'FRAME_INVALID' });
        }
      }),
      { numRuns: runs * 5 },
    );
  });
});
