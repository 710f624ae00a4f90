/** What a subscription is asked for, checked: of what, from where, and what becomes of each record. */
import { OptionsError } from '../base/errors.js';
import { StreamOrder } from './eventOrder.js';
import { type LogRange, logRangeOf } from './eventRange.js';
import { inStreamOrder, type RecordPage } from './eventReader.js';
import type { EventKeyName, EventSelection, StreamName, SubscribeOptions } from './eventTypes.js';
import type { EventChoice } from './recordedEvents.js';

export interface SubscriptionPlan {
  topics: readonly string[];
  keys: readonly EventKeyName[];
  brokerName: string | undefined;
  /** Topics that must be there, of topics and keys. */
  topicNames: readonly string[];
  start: LogRange | 'end';
  choice: EventChoice;
  /** Holds the records of a stream against their versions. */
  inOrder(pages: AsyncIterable<RecordPage>): AsyncIterable<RecordPage>;
}

/** Throws OptionsError for what makes no sense. */
export function subscriptionPlanOf(selection: EventSelection, options: SubscribeOptions): SubscriptionPlan {
  const { from = 'start', after, unknownTypes = 'fail' } = options;
  const { topics, keys, stream } = partsOf(selection);
  const fromVersion = typeof from === 'number' ? from : undefined;
  if (fromVersion !== undefined) {
    if (!stream) throw new OptionsError('a version to begin at is for a stream: give its topic and stream');
    if (!Number.isSafeInteger(fromVersion) || fromVersion < 1) {
      throw new OptionsError(`version ${fromVersion} to begin at must be a whole number from 1`);
    }
  }
  if (after !== undefined && from !== 'start') {
    throw new OptionsError('`from` and `after` both say where to begin: give one of them');
  }
  const range = logRangeOf({
    from: typeof from === 'number' || from === 'end' ? 'start' : from,
    ...(after && { after }),
  });
  const isFromStart = from !== 'end' && range.from === undefined;
  return {
    topics,
    keys,
    brokerName: options.brokerName ?? range.brokerName,
    topicNames: [...new Set([...topics, ...keys.map(({ topic }) => topic)])],
    start: from === 'end' ? 'end' : range,
    choice: { range, unknownTypes, ...(fromVersion !== undefined && { fromVersion }) },
    inOrder: (pages) =>
      stream ? inStreamOrder(stream, pages, new StreamOrder(stream, 'forwards', isFromStart ? 0 : undefined)) : pages,
  };
}

function partsOf(selection: EventSelection): {
  topics: readonly string[];
  keys: readonly EventKeyName[];
  stream?: StreamName;
} {
  if (selection === 'all') return { topics: [], keys: [] };
  if ('keys' in selection) {
    if (selection.keys.length === 0) throw new OptionsError('a subscription to keys needs at least one key');
    return { topics: [], keys: selection.keys };
  }
  if (!('stream' in selection)) return { topics: [selection.topic], keys: [] };
  const { topic, stream } = selection;
  return { topics: [], keys: [{ topic, key: stream }], stream: { topic, stream } };
}
