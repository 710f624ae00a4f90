/** A broker on a fresh directory with an event topic, and an event store that writes to it. */
import { systemClock } from '../../src/base/clock.js';
import { silentLogger } from '../../src/base/logger.js';
import type { Session } from '../../src/client/session.js';
import { event } from '../../src/eventstore/event.js';
import { EventLog } from '../../src/eventstore/eventLog.js';
import { EventReader } from '../../src/eventstore/eventReader.js';
import { EventStore } from '../../src/eventstore/eventStore.js';
import { EventTopics } from '../../src/eventstore/eventTopics.js';
import type { AppendResult } from '../../src/eventstore/eventTypes.js';
import { Insistence } from '../../src/eventstore/insistence.js';
import { TestCluster } from '../client/support/cluster.js';
import { Closed, codec, Deposited } from './events.js';

export class TestLog {
  readonly topic: string;
  readonly topics: EventTopics;
  readonly store: EventStore;

  private constructor(
    readonly cluster: TestCluster,
    readonly session: Session,
    topic: string,
  ) {
    this.topic = topic;
    const insistence = new Insistence({ clock: systemClock, logger: silentLogger });
    const log = new EventLog({ session, insistence });
    this.topics = new EventTopics({ session, clock: systemClock, insistence, queues: 4 });
    const reader = new EventReader({ log, codec });
    this.store = new EventStore({ log, reader, codec, clock: systemClock, topics: this.topics });
  }

  static async start(topic = 'accounts'): Promise<TestLog> {
    const cluster = await TestCluster.start('local');
    const log = new TestLog(cluster, await cluster.session(), topic);
    await log.topics.prepare(topic);
    return log;
  }

  /** Several events of one account, in one append. */
  deposit(account: string, amounts: readonly number[], occurredAt?: Date, topic = this.topic): Promise<AppendResult> {
    const events = amounts.map((cents) => ({ event: event(Deposited, { cents }), ...(occurredAt && { occurredAt }) }));
    return this.store.append({ topic, stream: `account:${account}` }, events);
  }

  close(account: string): Promise<AppendResult> {
    return this.store.append({ topic: this.topic, stream: `account:${account}` }, [event(Closed, { at: 1 })]);
  }

  stop(): Promise<void> {
    return this.cluster.stop();
  }
}
