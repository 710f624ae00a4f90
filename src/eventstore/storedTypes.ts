/**
 * Subscriptions by event type, as the broker has to be asked: it compares tags, which are the types under which events
 * were stored, so a renamed type is asked for under its old names too. SQL92 expressions are the author's own.
 */
import type { Subscription } from '../client/clientTypes.js';
import type { EventCodec } from './eventCodec.js';

export function withStoredTypes(subscription: Subscription, codec: EventCodec): Subscription {
  const { expression, expressionType = 'TAG' } = subscription;
  if (expressionType !== 'TAG' || expression === undefined || expression.trim() === '*') return subscription;
  const asked = expression
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  const all = new Set(asked.flatMap((tag) => [tag, ...codec.storedTypesOf(tag)]));
  return all.size === asked.length ? subscription : { ...subscription, expression: [...all].join(' || ') };
}
