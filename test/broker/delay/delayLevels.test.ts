import { describe, expect, it } from 'vitest';
import { DelayLevels, scheduled } from '../../../src/broker/delay/delayLevels.js';

const levels = new DelayLevels('1s 5s 2m 1h 1d');

describe('delay levels', () => {
  it('are positions from 1', () => {
    expect([1, 2, 3, 4, 5].map((level) => levels.millisOf(level))).toEqual([
      1000, 5000, 120_000, 3_600_000, 86_400_000,
    ]);
    expect(levels.max).toBe(5);
  });

  it('above the last are the last, below the first none', () => {
    expect(levels.parse('99')).toBe(5);
    expect(levels.millisOf(99)).toBe(86_400_000);
    expect(levels.parse('0')).toBe(0);
    expect(levels.parse('-3')).toBe(0);
    expect(levels.parse('soon')).toBeUndefined();
  });

  it('are refused when they do not parse', () => {
    expect(() => new DelayLevels('1s 5x')).toThrow(/messageDelayLevel=1s 5x/);
  });
});

describe('a scheduled message', () => {
  it('lies in the queue of its level and remembers where it goes; timer properties are dropped', () => {
    const body = Buffer.from('b');
    const host = Buffer.alloc(8);
    const message = scheduled(
      {
        topic: 'T',
        queueId: 3,
        flag: 0,
        sysFlag: 0,
        bornTimestamp: 1,
        bornHost: host,
        reconsumeTimes: 0,
        preparedTransactionOffset: 0,
        body,
        propertiesText: '',
        properties: { DELAY: '99', KEYS: 'k', TIMER_DELAY_SEC: '5' },
      },
      5,
    );
    expect(message).toMatchObject({ topic: 'SCHEDULE_TOPIC_XXXX', queueId: 4, body });
    expect(message.properties).toEqual({ DELAY: '5', KEYS: 'k', REAL_TOPIC: 'T', REAL_QID: '3' });
    expect(message.propertiesText).toBe(
      'DELAY\u00015\u0002KEYS\u0001k\u0002REAL_TOPIC\u0001T\u0002REAL_QID\u00013\u0002',
    );
  });
});
