/**
 * Deliveries as bad as they may get: what a broker and a consumer group are allowed to do to handlers (duplicates,
 * reordering, delays) and what may happen to the process that runs them (it dies at any step). It stands at the seams
 * of the application (`runtime/appSeams.ts`): between consumer and pipeline it gives messages twice, late and in another
 * order, and drops what a dead process would have answered; between guard and claims it drops what a dead process would
 * have recorded; between pipeline and handler it cuts the handler off. All else is the application's own code.
 *
 * Invariant: nothing is done to a handler that could not happen to it in production. A queue of an ordered consumer
 * stays in order; what comes again there is a run of neighbours, as after a restart from an earlier offset. A message
 * is never lost: what a dead process had in hand is given again.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Clock, delay } from '../base/clock.js';
import type { ConsumeContext, ConsumeOutcome, MessageListener, ReceivedMessage } from '../client/clientTypes.js';
import type { Claims } from '../idempotency/idempotencyTypes.js';
import type { SeamConsumer } from '../runtime/appSeams.js';
import { anySeed, Chance } from './chance.js';
import type { DeliveryFaults, FaultsMet } from './deliveryFaults.js';
import { AGAIN_MAX, countOf, type DeliveryGroup, groupOf, nameOf, queueOf, remember } from './deliveryGroup.js';
import { CRASH_STEPS, type Crash, callInLife, type Run } from './doomedRun.js';
import { intercept } from './interception.js';
import { Life, ProcessDied } from './life.js';

const DELAY_MAX_MILLIS = 50;
/** How many later deliveries may overtake one, and how long it waits for them. */
const OVERTAKERS_MAX = 3;
const OVERTAKEN_MAX_MILLIS = 50;
/** How long a group is away when its process died. */
const RESTART_MILLIS = 10;
/** After so many deaths over one message it is let through: a rate of 1 would never end. */
const CRASHES_PER_MESSAGE = 3;
/** How many calls a handler may make before it dies, at most. */
const CALLS_MAX = 4;

export class UnreliableDelivery {
  readonly #faults: DeliveryFaults;
  readonly #clock: Clock;
  readonly #chance: Chance;
  readonly #runs = new AsyncLocalStorage<Run>();
  readonly met: FaultsMet = { duplicates: 0, reordered: 0, delayed: 0, crashes: 0 };

  constructor({ faults, clock }: { faults: DeliveryFaults; clock: Clock }) {
    this.#faults = faults;
    this.#clock = clock;
    this.#chance = new Chance(faults.seed ?? anySeed());
  }

  get seed(): number {
    return this.#chance.seed;
  }

  /** Between consumer and pipeline. */
  listener(next: MessageListener, consumer: SeamConsumer): MessageListener {
    const group = groupOf(consumer, next);
    return (messages, context) => this.#deliver(group, messages, context);
  }

  /** Between pipeline and handler. */
  handler(handler: object, members: readonly string[]): object {
    return intercept(handler, members, ({ method, target, args }) => {
      const run = this.#runs.getStore();
      // No run: a replay, which no consumer delivers.
      if (!run || !this.#faults.crash) return Reflect.apply(method, target, args);
      return callInLife(run, method, target, args);
    });
  }

  /** Between guard and claims: a process that has died asks for nothing and records nothing. */
  claims(claims: Claims): Claims {
    const runs = this.#runs;
    /** Whose claim it is, by owner: renewals come from timers, which know nothing of a run. */
    const lives = new Map<string, Life>();
    const isDead = (owner: string) => lives.get(owner)?.isOver === true;
    return {
      async claim(key, owner, leaseMillis) {
        const life = runs.getStore()?.life;
        life?.assertLasts();
        const outcome = await claims.claim(key, owner, leaseMillis);
        life?.assertLasts();
        if (life && outcome.status === 'claimed') lives.set(outcome.token.owner, life);
        return outcome;
      },
      async complete(key, token, ttlMillis, result) {
        const life = lives.get(token.owner);
        life?.assertLasts();
        const outcome = await claims.complete(key, token, ttlMillis, result);
        lives.delete(token.owner);
        return outcome;
      },
      renew: async (key, token, leaseMillis) => (isDead(token.owner) ? 'lost' : claims.renew(key, token, leaseMillis)),
      async release(key, token) {
        const dead = isDead(token.owner);
        lives.delete(token.owner);
        return dead ? 'lost' : claims.release(key, token);
      },
      close: () => claims.close(),
    };
  }

  async #deliver(
    group: DeliveryGroup,
    messages: readonly ReceivedMessage[],
    context: ConsumeContext,
  ): Promise<ConsumeOutcome> {
    const [first] = messages;
    if (!first || context.signal.aborted) return group.next(messages, context);
    const { life } = group;
    const counted = messages.map((message) => countOf(group, message));
    const named = (message: ReceivedMessage) =>
      `${nameOf(group, message)} ${counted[messages.indexOf(message)]?.deliveries ?? 0}`;
    try {
      await this.#comeLate(group, named(first), context.signal);
      if (context.signal.aborted) return group.next(messages, context);
      life.assertLasts();
      const rewound = await this.#rewind(group, first, life, context);
      if (rewound) return rewound;
      const at = messages.findIndex(
        (message, index) =>
          (counted[index]?.crashes ?? 0) < CRASHES_PER_MESSAGE && this.#strikes('crash', named(message)),
      );
      const doomed = messages[at];
      if (doomed) return await this.#dieOver(group, messages, at, named(doomed), context);
      const outcome = await this.#handOut(group, messages, named(first), life, context);
      if (outcome.status !== 'SUCCESS') return outcome;
      remember(group, messages);
      return (await this.#deliverAgain(group, messages, named, life, context)) ?? outcome;
    } catch (thrown) {
      if (thrown instanceof ProcessDied) return RESTARTED;
      throw thrown;
    } finally {
      for (const tell of [...group.overtaken]) tell();
    }
  }

  /** Late, or overtaken by others. */
  async #comeLate(group: DeliveryGroup, name: string, signal: AbortSignal): Promise<void> {
    if (this.#strikes('delay', name)) {
      this.met.delayed++;
      await delay(this.#clock, 1 + this.#chance.pick(`delay millis ${name}`, DELAY_MAX_MILLIS), signal);
    }
    if (this.#strikes('reorder', name)) {
      this.met.reordered++;
      const overtakers = 1 + this.#chance.pick(`overtakers ${name}`, OVERTAKERS_MAX);
      await this.#letOvertake(group, overtakers, signal);
    }
  }

  /** Resolves when so many other deliveries of the group have ended, or after a while. */
  async #letOvertake(group: DeliveryGroup, count: number, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    let left = count;
    const tell = () => {
      left -= 1;
      if (left === 0) done.abort();
    };
    group.overtaken.add(tell);
    try {
      await delay(this.#clock, OVERTAKEN_MAX_MILLIS, AbortSignal.any([done.signal, signal]));
    } finally {
      group.overtaken.delete(tell);
    }
  }

  /** The messages, several of a concurrent consumer in another order if that is drawn. */
  async #handOut(
    group: DeliveryGroup,
    messages: readonly ReceivedMessage[],
    name: string,
    life: Life,
    context: ConsumeContext,
  ): Promise<ConsumeOutcome> {
    const run = { life, crash: undefined };
    if (group.mode === 'ordered' || messages.length === 1 || !this.#strikes('reorder', `batch ${name}`)) {
      return this.#run(group, run, messages, context);
    }
    this.met.reordered++;
    const shuffled = messages
      .map((message) => ({ message, rank: this.#chance.draw(`rank ${nameOf(group, message)}`) }))
      .sort((left, right) => left.rank - right.rank);
    for (const { message } of shuffled) {
      const outcome = await this.#run(group, run, [message], context);
      // Those that were handled come again as well: their offsets lie on both sides of this one.
      if (outcome.status !== 'SUCCESS') return ofWholeBatch(outcome);
    }
    return { status: 'SUCCESS' };
  }

  /** What was handled comes again. Answers what the consumer is told if that does not go well. */
  async #deliverAgain(
    group: DeliveryGroup,
    messages: readonly ReceivedMessage[],
    named: (message: ReceivedMessage) => string,
    life: Life,
    context: ConsumeContext,
  ): Promise<ConsumeOutcome | undefined> {
    const drawn = messages.filter((message) => this.#strikes('duplicates', named(message)));
    if (drawn.length === 0) return undefined;
    const run = { life, crash: undefined };
    if (group.mode === 'concurrent') {
      this.met.duplicates += drawn.length;
      // Two members of the group that have the same message: after a rebalance that is so.
      const copies = drawn.flatMap((message) => [message, ...(this.#strikesTwice(named(message)) ? [message] : [])]);
      const outcomes = await Promise.all(copies.map((message) => this.#run(group, run, [{ ...message }], context)));
      const failed = outcomes.find(({ status }) => status !== 'SUCCESS');
      return failed && ofWholeBatch(failed);
    }
    const last = messages.at(-1);
    if (!last) return undefined;
    return this.#giveAgain(group, last, 1 + this.#chance.pick(`again ${named(last)}`, AGAIN_MAX), life, context);
  }

  #strikesTwice(name: string): boolean {
    return this.#chance.draw(`twice at once ${name}`) < 0.5;
  }

  /** A restarted consumer begins at an offset that lies before what was handled. */
  async #rewind(
    group: DeliveryGroup,
    first: ReceivedMessage,
    life: Life,
    context: ConsumeContext,
  ): Promise<ConsumeOutcome | undefined> {
    const queue = queueOf(first);
    const count = group.rewinds.get(queue) ?? 0;
    group.rewinds.delete(queue);
    return count === 0 ? undefined : this.#giveAgain(group, first, count, life, context);
  }

  /** The last messages of the queue that were handled, in their order. */
  async #giveAgain(
    group: DeliveryGroup,
    { brokerName, topic, queueId }: ReceivedMessage,
    count: number,
    life: Life,
    context: ConsumeContext,
  ): Promise<ConsumeOutcome | undefined> {
    const handled = group.handled.get(queueOf({ brokerName, topic, queueId })) ?? [];
    const again = handled.slice(-count).map((message) => ({ ...message }));
    if (again.length === 0) return undefined;
    this.met.duplicates += again.length;
    const outcome = await this.#run(group, { life, crash: undefined }, again, context);
    return outcome.status === 'SUCCESS' ? undefined : ofWholeBatch(outcome);
  }

  /** Hands out what comes before and up to the message, and dies over it. */
  async #dieOver(
    group: DeliveryGroup,
    messages: readonly ReceivedMessage[],
    at: number,
    name: string,
    context: ConsumeContext,
  ): Promise<ConsumeOutcome> {
    const { life } = group;
    const doomed = messages[at];
    if (!doomed) return RESTARTED;
    const step = CRASH_STEPS[this.#chance.pick(`crash step ${name}`, CRASH_STEPS.length)] ?? 'AFTER_DONE';
    const calls = 1 + this.#chance.pick(`crash calls ${name}`, CALLS_MAX);
    const crash: Crash = { eventId: doomed.msgId, step, calls };
    this.met.crashes++;
    countOf(group, doomed, { crashes: 1 });
    try {
      const reached = messages.slice(0, step === 'BEFORE_CLAIM' ? at : at + 1);
      if (reached.length > 0) await this.#run(group, { life, crash }, reached, context);
    } catch (thrown) {
      if (!(thrown instanceof ProcessDied)) throw thrown;
    } finally {
      // With it die all that the process has in hand, unless it died of something else meanwhile.
      if (group.life === life) this.#restart(group, name);
    }
    return RESTARTED;
  }

  #restart(group: DeliveryGroup, name: string): void {
    group.life.end();
    group.life = new Life();
    for (const queue of group.handled.keys()) {
      group.rewinds.set(queue, this.#chance.pick(`rewind ${name} ${queue}`, AGAIN_MAX + 1));
    }
  }

  /** The application's own code, in a life. Rejects with {@link ProcessDied} when that ends. */
  #run(
    { next }: DeliveryGroup,
    run: Run,
    messages: readonly ReceivedMessage[],
    context: ConsumeContext,
  ): Promise<ConsumeOutcome> {
    return run.life.orDie(this.#runs.run(run, () => next(messages, context)));
  }

  #strikes(kind: 'duplicates' | 'reorder' | 'delay' | 'crash', name: string): boolean {
    const rate = this.#faults[kind] ?? 0;
    return rate > 0 && this.#chance.draw(`${kind} ${name}`) < rate;
  }
}

/** The same messages come again, without an attempt being counted: nobody has told their outcome. */
const RESTARTED: ConsumeOutcome = { status: 'HOLD', suspendMillis: RESTART_MILLIS };

/** As far as the listener spoke of a part of the batch, it is said of all of it. */
function ofWholeBatch(outcome: ConsumeOutcome): ConsumeOutcome {
  if (outcome.status === 'SUCCESS') return outcome;
  const { settled: _part, ...whole } = outcome;
  return whole;
}
