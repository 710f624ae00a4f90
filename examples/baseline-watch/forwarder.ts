/**
 * Carries `BaselineReached` from the event topic to a plain topic, for readers who know nothing of event sourcing. A
 * copy keeps the id of its event. Killed between sending and settling it sends some again: readers are guarded.
 */
import { ConsumeFromWhere, Consumer, type MessageContext, On, Producer } from 'foldlog';
import { inject } from 'inversify';
import { NEWS_TOPIC, PULL_INTERVAL_MILLIS, TOPIC } from './browsers.js';
import { BaselineReached } from './events.js';

/** Told of each message sent, before it is settled. */
export abstract class Sent {
  abstract another(context: MessageContext): Promise<void>;
}

@Consumer(TOPIC, {
  group: 'forwarder',
  from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
  pullIntervalMillis: PULL_INTERVAL_MILLIS,
  // Readers are guarded; a guard here could not know whether the send before a crash had arrived.
  idempotent: false,
  // One feature's news may overtake another's.
  mode: 'concurrent',
})
export class Forwarder {
  constructor(
    @inject(Producer) private readonly producer: Producer,
    @inject(Sent) private readonly sent: Sent,
  ) {}

  @On(BaselineReached) async forward(event: BaselineReached, context: MessageContext): Promise<void> {
    await this.producer.send({
      topic: NEWS_TOPIC,
      tags: 'BaselineReached',
      keys: [context.stream],
      body: JSON.stringify(event),
      uniqueKey: context.eventId,
    });
    await this.sent.another(context);
  }
}
