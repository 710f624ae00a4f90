/**
 * Runs one `@On` method on one event behind the guard that its class asked for: none, claim-lease-done, or a
 * transaction that its done mark is a part of. Live consumers and replays run their methods here.
 */
import { OptionsError } from '../base/errors.js';
import { isThenable } from '../base/thenable.js';
import type { HandlerMethod } from '../decorators/handlerMetadata.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';
import type { CopyPlace } from '../idempotency/duplicatesMet.js';
import type { GuardedOutcome, IdempotencyGuard } from '../idempotency/idempotencyGuard.js';
import type { TransactionGuard } from '../idempotency/transactionGuard.js';
import { contextOf, type DeliveryFacts } from './messageContext.js';

/** The guards that the methods of a class need; undefined: none of them does. */
export interface HandlerGuards {
  guard: IdempotencyGuard | undefined;
  transactions: TransactionGuard | undefined;
}

export interface GuardedHandlerParts extends HandlerGuards {
  group: string;
  handler: object;
}

/** Opens what the methods need, and looks at their times to live. */
export async function openGuards(
  methods: readonly HandlerMethod[],
  open: { guard: () => Promise<IdempotencyGuard>; transactions: () => Promise<TransactionGuard> },
): Promise<HandlerGuards> {
  const guarded = methods.filter(({ idempotent }) => idempotent);
  const guard = guarded.some(({ isTransactional }) => !isTransactional) ? await open.guard() : undefined;
  const transactions = guarded.some(({ isTransactional }) => isTransactional) ? await open.transactions() : undefined;
  for (const { ttlMillis, isTransactional } of guarded) {
    if (ttlMillis !== undefined) (isTransactional ? transactions : guard)?.assertTtl(ttlMillis);
  }
  return { guard, transactions };
}

/** Rethrows what the method throws. The context's signal is the delivery's, or the lease's where there is one. */
export async function runHandler(
  method: HandlerMethod,
  recorded: RecordedEvent,
  delivery: DeliveryFacts & { place?: CopyPlace },
  { group, handler, guard, transactions }: GuardedHandlerParts,
): Promise<GuardedOutcome> {
  const { idempotent, isTransactional, keepsResult, member, ttlMillis } = method;
  const { place, replayId, signal } = delivery;
  const call = Reflect.get(handler, member) as (event: object, context: object) => unknown;
  const kept = (result: unknown) => (keepsResult ? result : undefined);
  const options = { signal, ...(ttlMillis === undefined ? {} : { ttlMillis }), ...(place ? { place } : {}) };
  const key = () => `${replayId === undefined ? '' : `${replayId}/`}${guardKeyOf(method, recorded)}`;
  if (idempotent && isTransactional && transactions) {
    return transactions.run(
      group,
      key(),
      (db, running) => {
        const result = call.call(handler, recorded.event, contextOf(recorded, { ...delivery, signal: running }, db));
        // A method that is done at once keeps its transaction within this turn of the event loop. What can be awaited is:
        // the query of a query builder, for one, is no promise, and runs when its `then` is called.
        return isThenable(result) ? Promise.resolve(result).then(kept) : kept(result);
      },
      options,
    );
  }
  if (idempotent && guard) {
    return guard.run(
      group,
      key(),
      async (leased) =>
        kept(await call.call(handler, recorded.event, contextOf(recorded, { ...delivery, signal: leased }))),
      options,
    );
  }
  await call.call(handler, recorded.event, contextOf(recorded, delivery));
  return { status: 'done', first: false, result: undefined };
}

/** A key of one's own is told apart by method, so that two methods may use the same business key. */
export function guardKeyOf({ key, member }: Pick<HandlerMethod, 'key' | 'member'>, recorded: RecordedEvent): string {
  if (!key) return recorded.eventId;
  const own: unknown = key(recorded.event, recorded);
  if (typeof own === 'string' && own !== '') return `${member}/${own}`;
  // All events without a key would pass for one effect, and all but the first be dropped as its duplicates.
  throw new OptionsError(
    `key of @Idempotent on ${member}: ${JSON.stringify(own)} for event ${recorded.eventId} must be a text that is not empty`,
    { member, eventId: recorded.eventId },
  );
}
