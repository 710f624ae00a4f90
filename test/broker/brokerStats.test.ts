/** Counts over the last minute, hour and day. */
import { describe, expect, it } from 'vitest';
import { BrokerStats, STATS_NAMES } from '../../src/broker/brokerStats.js';
import { StatsItem } from '../../src/broker/statsItem.js';
import { Traffic } from '../../src/broker/traffic.js';
import { ManualClock } from '../support/manualClock.js';
import { recordingLogger } from '../support/testBroker.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Midnight UTC: a boundary of all slots. */
const START = Date.parse('2026-01-01T00:00:00Z');

describe('an item', () => {
  it('has sum, rate and average from its first second on', () => {
    const item = new StatsItem(START);
    for (const value of [10, 20, 30]) item.add(START + 2000, value);
    expect(item.figures('statsMinute', START + 4000)).toEqual({ sum: 60, tps: 15, avgpt: 20 });
    expect(item.figures('statsDay', START + 4000)).toEqual({ sum: 60, tps: 15, avgpt: 20 });
    // Never more than what came in a second.
    expect(new StatsItem(START).figures('statsMinute', START)).toEqual({ sum: 0, tps: 0, avgpt: 0 });
  });

  it.each([
    ['statsMinute', 10_000, MINUTE],
    ['statsHour', 10 * MINUTE, HOUR],
    ['statsDay', HOUR, DAY],
  ] as const)('%s forgets what is older than its time', (window, slotMillis, windowMillis) => {
    const item = new StatsItem(START);
    // One in each slot, three windows long.
    const slots = (3 * windowMillis) / slotMillis;
    for (let slot = 0; slot < slots; slot += 1) item.add(START + slot * slotMillis, 1);
    const end = START + slots * slotMillis;
    const perWindow = windowMillis / slotMillis;
    const { sum, tps } = item.figures(window, end);
    expect(sum).toBe(perWindow);
    expect(tps).toBeCloseTo(perWindow / (windowMillis / 1000), 6);
    // Half a slot later nothing has gone; a slot later the oldest.
    expect(item.figures(window, end + slotMillis / 2).sum).toBe(perWindow);
    expect(item.figures(window, end + slotMillis).sum).toBe(perWindow - 1);
    expect(item.figures(window, end + windowMillis + slotMillis)).toEqual({ sum: 0, tps: 0, avgpt: 0 });
    item.add(end + 10 * windowMillis, 5);
    expect(item.figures(window, end + 10 * windowMillis).sum).toBe(5);
  });

  it('counts nothing twice and nothing less, whatever the times', () => {
    const item = new StatsItem(START);
    let total = 0;
    for (let step = 0; step < 5000; step += 1) {
      // Also a clock that goes back now and then.
      const at = START + step * 1300 - (step % 7 === 0 ? 9000 : 0);
      item.add(at, step % 5);
      total += step % 5;
    }
    expect(item.figures('statsDay', START + 5000 * 1300).sum).toBe(total);
  });
});

describe('the statistics of a broker', () => {
  const statsAt = (clock: ManualClock, logger = recordingLogger()) =>
    new BrokerStats({ clusterName: 'C', clock, logger });

  it('know their names and keys', () => {
    const clock = new ManualClock(START);
    const stats = statsAt(clock);
    stats.put('T', 100);
    stats.put('T', 300);
    stats.served({ group: 'G', topic: 'T', count: 2, sizeBytes: 400, behindBytes: 50, behindMillis: 7 });
    stats.sentBack('T', 'G');
    clock.advance(2000);
    const keys = ['T', 'T', 'T@G', 'T@G', 'T@G', 'C', 'C', 'T@G', 'T@G'];
    const sums = STATS_NAMES.map((name, index) => stats.figures(name, keys[index] ?? '')?.statsMinute.sum);
    expect(sums).toEqual([2, 400, 2, 400, 1, 2, 2, 50, 7]);
    expect(stats.figures('TOPIC_PUT_SIZE', 'T')?.statsDay.avgpt).toBe(200);
    expect([stats.topicPutTps('T'), stats.groupGetTps('T', 'G')]).toEqual([1, 1]);
    expect([stats.topicPutTps('U'), stats.groupGetTps('U', 'G')]).toEqual([0, 0]);
    expect([stats.figures('NO_NAME', 'T'), stats.figures('TOPIC_PUT_NUMS', 'U')]).toEqual([undefined, undefined]);
    expect(stats.figures('constructor', 'T')).toBeUndefined();
  });

  it('keep a bounded number of keys; those that are idle for a day make room', () => {
    const clock = new ManualClock(START);
    const logger = recordingLogger();
    const stats = statsAt(clock, logger);
    for (let topic = 0; topic < 10_000; topic += 1) stats.put(`T${topic}`, 1);
    stats.put('More', 1);
    stats.put('More', 1);
    expect(stats.figures('TOPIC_PUT_NUMS', 'More')).toBeUndefined();
    expect(logger.lines.filter((line) => line.includes('keys of one statistic'))).toHaveLength(1);
    clock.advance(2 * DAY);
    stats.put('T0', 1);
    stats.put('More', 1);
    expect(stats.figures('TOPIC_PUT_NUMS', 'More')?.statsMinute.sum).toBe(1);
    expect(stats.figures('TOPIC_PUT_NUMS', 'T0')?.statsMinute.sum).toBe(1);
    expect(stats.figures('TOPIC_PUT_NUMS', 'T1')).toBeUndefined();
  });
});

describe('totals of the mornings', () => {
  it('move at local midnight, and skip days without a count', () => {
    const traffic = new Traffic();
    const noon = new Date(2026, 2, 10, 12).getTime();
    traffic.count(noon, 5);
    expect(traffic.mornings(noon)).toEqual({ today: 0, yesterday: 0 });
    const nextDay = new Date(2026, 2, 11, 9).getTime();
    traffic.count(nextDay, 2);
    expect(traffic.mornings(nextDay)).toEqual({ today: 5, yesterday: 0 });
    const dayAfter = new Date(2026, 2, 12, 0, 0, 10).getTime();
    expect(traffic.mornings(dayAfter)).toEqual({ today: 7, yesterday: 5 });
    expect(traffic.mornings(new Date(2026, 2, 20, 1).getTime())).toEqual({ today: 7, yesterday: 7 });
  });
});
