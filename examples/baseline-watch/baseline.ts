/**
 * Decides when a feature works in all core browsers, and writes that into the feature's stream, where intake writes too.
 *
 * Events of one feature come in order. What they add up to is remembered; when a feature's queue came from the other
 * instance, or an event comes again, the fold starts over from the stream, up to that event.
 */
import { ConsumeFromWhere, Consumer, Foldlog, type MessageContext, On } from 'foldlog';
import { inject } from 'inversify';
import { PULL_INTERVAL_MILLIS, TOPIC } from './browsers.js';
import { CoreSupport } from './coreSupport.js';
import { BaselineLost, BaselineReached, SupportAdded, SupportRemoved } from './events.js';
import { Feature } from './feature.js';

/** Features remembered; the others are folded again when they come up. */
const REMEMBERED_MAX = 50_000;

@Consumer(TOPIC, {
  group: 'baseline',
  from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
  pullIntervalMillis: PULL_INTERVAL_MILLIS,
  // What it does is repeatable by itself: see #execute.
  idempotent: false,
})
export class Baseline {
  readonly #remembered = new Map<string, CoreSupport>();

  constructor(@inject(Foldlog) private readonly app: Foldlog) {}

  @On(SupportAdded) async added(event: SupportAdded, context: MessageContext): Promise<void> {
    const { before, after } = await this.#fold(event, context);
    if (before || !after) return;
    await this.#execute(context, (feature) => feature.reachBaseline(event.browser, context.occurredAt));
  }

  @On(SupportRemoved) async removed(event: SupportRemoved, context: MessageContext): Promise<void> {
    const { before, after } = await this.#fold(event, context);
    if (!before || after) return;
    await this.#execute(context, (feature) => feature.loseBaseline(event.browser, context.occurredAt));
  }

  @On(BaselineReached) async reached(event: BaselineReached, context: MessageContext): Promise<void> {
    await this.#fold(event, context);
  }

  @On(BaselineLost) async lost(event: BaselineLost, context: MessageContext): Promise<void> {
    await this.#fold(event, context);
  }

  /** Did the feature work everywhere before this event, and does it after? */
  async #fold(event: object, context: MessageContext): Promise<{ before: boolean; after: boolean }> {
    const { stream, version } = context;
    let support = this.#remembered.get(stream);
    if (support?.version !== version - 1) {
      support = await this.#read(stream, version - 1);
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
      this.#remembered.set(stream, support);
    }
    const before = support.isComplete;
    support.apply(event, version);
    return { before, after: support.isComplete };
  }

  async #read(stream: string, toVersion: number): Promise<CoreSupport> {
    const support = new CoreSupport();
    if (toVersion === 0) return support;
    for await (const { event, version } of this.app.eventStore.readStream({ topic: TOPIC, stream }, { toVersion })) {
      support.apply(event, version);
    }
    return support;
  }

  /** The place of the event in its stream makes the command's id: deciding again after a redelivery changes nothing. */
  async #execute({ stream, version }: MessageContext, command: (feature: Feature) => void): Promise<void> {
    const feature = stream.slice(stream.indexOf(':') + 1);
    await this.app.aggregate(Feature).execute(feature, command, { commandId: `baseline-after-${version}` });
  }
}
