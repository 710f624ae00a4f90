/**
 * A feature of the web platform: which statements of support hold, and whether it was announced as Baseline. Two
 * services write to it, intake and baseline; the expected version of each append keeps them from overlooking each other.
 */
import { Aggregate, AggregateRoot, Apply, type EventFields } from 'foldlog';
import { TOPIC } from './browsers.js';
import { BaselineLost, BaselineReached, dayOf, SupportAdded, SupportRemoved } from './events.js';

@Aggregate({ topic: TOPIC, stream: 'feature' })
export class Feature extends AggregateRoot {
  readonly #statements = new Set<string>();
  #isInBaseline = false;

  add(fields: EventFields<SupportAdded>, occurredAt: Date): void {
    if (this.#statements.has(nameOf(fields))) throw new Error(`${this.id}: ${nameOf(fields)} was added before`);
    this.apply(SupportAdded, fields, { occurredAt });
  }

  remove(fields: EventFields<SupportRemoved>, occurredAt: Date): void {
    if (!this.#statements.has(nameOf(fields))) throw new Error(`${this.id}: ${nameOf(fields)} was never added`);
    this.apply(SupportRemoved, fields, { occurredAt });
  }

  /** Does nothing when it was announced before. */
  reachBaseline(lastBrowser: BaselineReached['lastBrowser'], occurredAt: Date): void {
    if (!this.#isInBaseline) this.apply(BaselineReached, { date: dayOf(occurredAt), lastBrowser }, { occurredAt });
  }

  loseBaseline(droppedBy: BaselineLost['droppedBy'], occurredAt: Date): void {
    if (this.#isInBaseline) this.apply(BaselineLost, { date: dayOf(occurredAt), droppedBy }, { occurredAt });
  }

  @Apply(SupportAdded) protected onAdded(event: SupportAdded): void {
    this.#statements.add(nameOf(event));
  }

  @Apply(SupportRemoved) protected onRemoved(event: SupportRemoved): void {
    this.#statements.delete(nameOf(event));
  }

  @Apply(BaselineReached) protected onReached(): void {
    this.#isInBaseline = true;
  }

  @Apply(BaselineLost) protected onLost(): void {
    this.#isInBaseline = false;
  }
}

const nameOf = ({ browser, statement }: { browser: string; statement: number }) => `${browser}#${statement}`;
