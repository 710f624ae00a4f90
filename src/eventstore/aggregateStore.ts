/** Commands on aggregates of one class: `app.aggregate(Order)`. The loop is `streamExecution.ts`. */
import {
  type AggregateClass,
  type AggregateRoot,
  aggregateAccess,
  aggregateFactsOf,
  newAggregate,
} from './aggregate.js';
import type { EventReader } from './eventReader.js';
import type { EventStore } from './eventStore.js';
import type { SnapshotParts } from './snapshots/snapshotParts.js';
import { aggregateForm } from './snapshots/stateForm.js';
import { StreamSnapshots } from './snapshots/streamSnapshots.js';
import { type ExecuteOptions, type ExecuteResult, type LoadOptions, StreamExecution } from './streamExecution.js';
import type { Folding } from './streamViewLoader.js';
import type { ViewBounds } from './streamViews.js';

/** The aggregates of one class. */
export class AggregateStore<A extends AggregateRoot> {
  readonly #execution: StreamExecution<A>;

  constructor(parts: {
    aggregateClass: AggregateClass<A>;
    store: EventStore;
    reader: EventReader;
    snapshots: SnapshotParts;
    cache?: ViewBounds;
  }) {
    const { aggregateClass, snapshots: snapshotParts, ...rest } = parts;
    const { topic, stream, snapshot: rules } = aggregateFactsOf(aggregateClass);
    const form = rules && aggregateForm(aggregateClass);
    const snapshots = form && new StreamSnapshots({ topic, prefix: stream, rules, form, ...snapshotParts });
    this.#execution = new StreamExecution({ ...rest, topic, stream, folding: foldingOf(aggregateClass), snapshots });
  }

  /**
   * The aggregate as the log has it now, or had it `at` a moment. One that does not exist has version 0. It is the
   * caller's own: what it applies is not stored.
   */
  load(id: string, options?: LoadOptions): Promise<A> {
    return this.#execution.load(id, options);
  }

  /**
   * Runs a command on the aggregate and appends what it applied, all or nothing. When somebody else appended first the
   * command runs again on the new state, so it must not do anything besides deciding. Applying nothing stores nothing.
   *
   * @throws ExpectedVersionError when the race was lost too often; what the command throws; FoldlogError
   * OUTCOME_UNKNOWN (repeat with the same command id)
   * @example await app.aggregate(Order).execute('42', (order) => order.ship('dhl'), { commandId: 'http-7f3a' });
   */
  execute(id: string, command: (aggregate: A) => unknown, options?: ExecuteOptions): Promise<ExecuteResult> {
    return this.#execution.execute(
      id,
      async (aggregate) => {
        aggregateAccess().beginCommand(aggregate);
        const result = command(aggregate);
        if (result instanceof Promise) await result;
        return aggregateAccess().takeApplied(aggregate);
      },
      options,
    );
  }

  /** Reads the whole stream and keeps the state as its snapshot. False when it has no events. */
  takeSnapshot(id: string): Promise<boolean> {
    return this.#execution.takeSnapshot(id);
  }

  /** Drops the snapshot of one aggregate, or of all of this class; they are taken again in time. How many there were. */
  dropSnapshots(id?: string): Promise<number> {
    return this.#execution.dropSnapshots(id);
  }
}

/** How events make an aggregate. */
export function foldingOf<A extends AggregateRoot>(aggregateClass: AggregateClass<A>): Folding<A> {
  const access = aggregateAccess();
  return {
    isMutable: true,
    initial: (id) => newAggregate(aggregateClass, id),
    fold(aggregate, event, version) {
      access.fold(aggregate, event, version);
      return aggregate;
    },
    committed(aggregate, _events, version) {
      access.commit(aggregate, version);
      return aggregate;
    },
  };
}
