/**
 * One mail for each feature that reaches Baseline. Copies of the news come in, and now and then the mail server refuses
 * the first attempt; the idempotency guard sees to it that each event makes one mail all the same.
 */
import { ConsumeFromWhere, Consumer, type MessageContext, On } from 'foldlog';
import { inject } from 'inversify';
import { NEWS_TOPIC, PULL_INTERVAL_MILLIS } from './browsers.js';
import { BaselineReached } from './events.js';
import { Mailbox } from './mailbox.js';

/** Every so many mails the server refused the first attempt, until it was replaced. */
const REFUSED_EVERY = 40;
const REPLACED_ON = '2022-01-01';

@Consumer(NEWS_TOPIC, {
  group: 'newsletter',
  from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
  pullIntervalMillis: PULL_INTERVAL_MILLIS,
})
export class Newsletter {
  /** Events whose first attempt failed here, once for each copy. */
  readonly refused: string[] = [];

  constructor(@inject(Mailbox) private readonly mailbox: Mailbox) {}

  @On(BaselineReached) reached(event: BaselineReached, context: MessageContext): void {
    if (context.reconsumeTimes === 0 && event.date < REPLACED_ON && isRefused(context.eventId)) {
      this.refused.push(context.eventId);
      throw new Error(`the mail server is busy, ${context.stream} has to wait`);
    }
    this.mailbox.send({
      eventId: context.eventId,
      subject: `${context.stream} is Baseline since ${event.date}: ${event.lastBrowser} has it too`,
    });
  }
}

/** The same for each copy of an event, whatever instance gets it. */
function isRefused(eventId: string): boolean {
  let sum = 0;
  for (const character of eventId) sum = (sum * 31 + character.charCodeAt(0)) % 1_000_003;
  return sum % REFUSED_EVERY === 0;
}
