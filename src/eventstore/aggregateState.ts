/** An aggregate as of a moment, with the last event in it: what `foldlog state` prints. Makes no topic, keeps nothing. */
import { type AggregateClass, type AggregateRoot, aggregateFactsOf } from './aggregate.js';
import { foldingOf } from './aggregateStore.js';
import type { EventReader } from './eventReader.js';
import { type Moment, type StateAsOf, StreamViewLoader } from './streamViewLoader.js';

export function aggregateAsOf<A extends AggregateRoot>(
  aggregateClass: AggregateClass<A>,
  id: string,
  { reader, ...moment }: Moment & { reader: EventReader },
): Promise<StateAsOf<A>> {
  const { topic, stream } = aggregateFactsOf(aggregateClass);
  const loader = new StreamViewLoader({ reader, folding: foldingOf(aggregateClass) });
  return loader.loadAsOf({ topic, stream: `${stream}:${id}`, id }, moment);
}
