/** Each engine has a desk that follows the recent releases of its browsers; the broker does the choosing. */
import { ConsumeFromWhere, Consumer, On, sql } from 'foldlog';
import { PULL_INTERVAL_MILLIS, TOPIC } from './browsers.js';
import { SupportAdded, SupportRemoved } from './events.js';

const common = {
  from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
  pullIntervalMillis: PULL_INTERVAL_MILLIS,
};

/** What a desk has on its table. Guarded handlers count each change once. */
export class EngineDesk {
  readonly changes = { added: 0, removed: 0 };

  @On(SupportAdded) added(): void {
    this.changes.added++;
  }

  @On(SupportRemoved) removed(): void {
    this.changes.removed++;
  }
}

@Consumer(TOPIC, {
  group: 'blink-desk',
  ...common,
  filter: sql("browser IN ('chrome', 'edge') AND major >= 120"),
})
export class BlinkDesk extends EngineDesk {}

@Consumer(TOPIC, {
  group: 'gecko-desk',
  ...common,
  filter: sql("browser = 'firefox' AND major >= 120"),
})
export class GeckoDesk extends EngineDesk {}

@Consumer(TOPIC, {
  group: 'webkit-desk',
  ...common,
  filter: sql("browser IN ('safari', 'safari_ios') AND major >= 17"),
})
export class WebKitDesk extends EngineDesk {}
