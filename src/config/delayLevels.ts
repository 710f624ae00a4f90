/**
 * `messageDelayLevel`: the delays of levels 1, 2, ... as text such as `1s 5s 10s 30s 1m 2h 1d`. Level n of a message is
 * the n-th entry. Upstream: `DelayLevelConfig`, `ScheduleMessageService`.
 */

const UNIT_MILLIS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** More levels than this are a mistake; each costs a queue of SCHEDULE_TOPIC_XXXX. */
export const DELAY_LEVELS_MAX = 100;

/** Milliseconds of each level, the first being level 1; undefined when the text is not a list of delays. */
export function parseDelayLevels(text: string): readonly number[] | undefined {
  const words = text.split(/\s+/).filter((word) => word !== '');
  if (words.length === 0 || words.length > DELAY_LEVELS_MAX) return undefined;
  const levels: number[] = [];
  for (const word of words) {
    const unit = UNIT_MILLIS[word.at(-1) ?? ''];
    const count = word.slice(0, -1);
    if (unit === undefined || !/^\d{1,9}$/.test(count)) return undefined;
    levels.push(Number(count) * unit);
  }
  return levels;
}
