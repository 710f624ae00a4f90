import { describe, expect, it } from 'vitest';
import { OptionsError } from '../../src/base/errors.js';
import { buildSubscription } from '../../src/protocol/subscription.js';

describe('buildSubscription', () => {
  it.each([undefined, '', '*'])('%j takes everything', (expression) => {
    expect(buildSubscription('T', expression)).toEqual({
      topic: 'T',
      subString: '*',
      tagsSet: [],
      codeSet: [],
      subVersion: 0,
      expressionType: 'TAG',
      classFilterMode: false,
    });
  });

  it('splits tags at ||, without blanks, empty parts and repetitions', () => {
    expect(buildSubscription('T', ' TagA ||A|| ||TagA', 'TAG', 5)).toMatchObject({
      subString: ' TagA ||A|| ||TagA',
      tagsSet: ['TagA', 'A'],
      codeSet: [2598919, 65],
      subVersion: 5,
    });
  });

  it('counts tags of one hash once', () => {
    expect(buildSubscription('T', 'Aa||BB')).toMatchObject({ tagsSet: ['Aa', 'BB'], codeSet: [2112] });
  });

  it('keeps SQL text as it is', () => {
    expect(buildSubscription('T', 'a > 1 || b', 'SQL92')).toMatchObject({
      subString: 'a > 1 || b',
      expressionType: 'SQL92',
      tagsSet: [],
      codeSet: [],
    });
  });

  it('refuses expressions that name nothing', () => {
    expect(() => buildSubscription('T', ' || ')).toThrow(OptionsError);
    expect(() => buildSubscription('T', '', 'SQL92')).toThrow(OptionsError);
  });
});
