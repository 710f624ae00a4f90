/** The wallboard in each office shows totals; every board sees every event. */
import { ConsumeFromWhere, Consumer, type EventPosition, type MessageContext, MessageModel, On } from 'foldlog';
import { PULL_INTERVAL_MILLIS, TOPIC } from './browsers.js';
import { BaselineLost, BaselineReached, SupportAdded, SupportRemoved } from './events.js';

@Consumer(TOPIC, {
  group: 'wallboard',
  model: MessageModel.BROADCASTING,
  from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
  pullIntervalMillis: PULL_INTERVAL_MILLIS,
})
export class Wallboard {
  readonly totals: Record<string, number> = {};
  /** How many events that is. */
  shown = 0;
  readonly #newest = new Map<string, EventPosition>();

  @On(SupportAdded) added(event: SupportAdded, context: MessageContext): void {
    this.#count(context, 'SupportAdded', `SupportAdded ${event.browser}`);
  }

  @On(SupportRemoved) removed(event: SupportRemoved, context: MessageContext): void {
    this.#count(context, 'SupportRemoved', `SupportRemoved ${event.browser}`);
  }

  @On(BaselineReached) reached(_event: BaselineReached, context: MessageContext): void {
    this.#count(context, 'BaselineReached');
  }

  @On(BaselineLost) lost(_event: BaselineLost, context: MessageContext): void {
    this.#count(context, 'BaselineLost');
  }

  /** The last event shown of each queue. */
  get newest(): EventPosition[] {
    return [...this.#newest.values()];
  }

  /** A board keeps its totals in memory, so the place in the queue is enough to know what it has counted. */
  #count({ position }: MessageContext, ...figures: string[]): void {
    const queue = `${position.brokerName} ${position.queueId}`;
    if (position.queueOffset <= (this.#newest.get(queue)?.queueOffset ?? -1)) return;
    this.#newest.set(queue, position);
    this.shown++;
    for (const figure of figures) this.totals[figure] = (this.totals[figure] ?? 0) + 1;
  }
}
