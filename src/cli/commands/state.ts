/**
 * `foldlog state STREAM --app FILE`: the state of an aggregate as one JSON object, now or as of a moment, with the last
 * event that is in it. Reads only.
 */
import { FoldlogError } from '../../base/errors.js';
import { type AggregateClass, type AggregateRoot, aggregateFactsOf } from '../../eventstore/aggregate.js';
import { aggregateAsOf } from '../../eventstore/aggregateState.js';
import { withAppLog } from '../appFile.js';
import type { CommandCall } from '../command.js';
import { EXIT, usageError } from '../errorLine.js';

const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

export function run(call: CommandCall): Promise<number> {
  const { args, options, terminal } = call;
  const [name = ''] = args;
  const colon = name.indexOf(':');
  const [stream, id] = [name.slice(0, colon), name.slice(colon + 1)];
  if (colon < 1 || id === '') throw usageError(`${name}: a stream is named as KIND:ID, for instance order:42`);
  const at = momentOf(options['at']);
  const by = options['by'] ?? 'stored';
  if (by !== 'stored' && by !== 'occurred') throw usageError(`--by ${String(by)}: must be stored or occurred`);
  if (at === undefined && options['by'] !== undefined) throw usageError('--by says which time --at means: give --at');
  return withAppLog(call, async ({ declarations, reader, topics }) => {
    const aggregateClass = aggregateOf(declarations.aggregates, stream, options['topic']);
    const { topic } = aggregateFactsOf(aggregateClass);
    const asOf = (await topics.exists(topic))
      ? await aggregateAsOf(aggregateClass, id, { atMillis: at ?? Number.POSITIVE_INFINITY, by, reader })
      : undefined;
    if (!asOf || asOf.version === 0) {
      const when = at === undefined ? '' : ` ${by === 'stored' ? 'stored' : 'that occurred'} until ${isoOf(at)}`;
      throw new FoldlogError('OPTIONS_INVALID', `stream ${name} of topic ${topic} has no events${when}`, { topic });
    }
    const { state, version, position } = asOf;
    const report = { stream: name, topic, version, position, state: plainOf(state) };
    terminal.out(JSON.stringify(report, (_key, value) => readable(value), 2));
    return EXIT.DONE;
  });
}

function aggregateOf(aggregates: readonly AggregateClass[], stream: string, topic: unknown): AggregateClass {
  const found = aggregates.filter((one) => {
    const facts = aggregateFactsOf(one);
    return facts.stream === stream && (topic === undefined || facts.topic === topic);
  });
  const [first, ...others] = found;
  if (!first) {
    const known = aggregates.map((one) => `${aggregateFactsOf(one).stream}:…`).join(', ') || 'none';
    throw usageError(
      `no aggregate of the application has streams ${stream}:…; it has ${known} (deciders are read in code: app.decider(…).load)`,
    );
  }
  if (others.length > 0) {
    const several = found.map((one) => aggregateFactsOf(one).topic).join(', ');
    throw usageError(`streams ${stream}:… lie in several topics (${several}): give --topic`);
  }
  return first;
}

/** What the class says of its state, else its fields. */
function plainOf(aggregate: AggregateRoot): unknown {
  const toSnapshot: unknown = Reflect.get(aggregate, 'toSnapshot');
  return typeof toSnapshot === 'function' ? toSnapshot.call(aggregate) : { ...aggregate };
}

/** What JSON has no form for is shown all the same. */
function readable(value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, member]) => [String(key), member]));
  if (value instanceof Set) return [...value];
  return typeof value === 'bigint' ? String(value) : value;
}

const isoOf = (millis: number) => new Date(millis).toISOString();

/** ISO text, or milliseconds. */
function momentOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const text = String(value);
  const millis = /^\d+$/.test(text) ? Number(text) : ISO_TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(new Date(millis).getTime())) {
    throw usageError(`--at ${text}: must be an ISO time (2026-04-01T12:00:00Z) or milliseconds`);
  }
  return millis;
}
