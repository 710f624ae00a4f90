/**
 * A message's way to its handler, the only place that knows all steps: decode and validate, claim, run the `@On`
 * method, mark done. What becomes of the message:
 *
 *     step                 outcome                              message
 *     find the method      none for this type                   SUCCESS: skipped
 *     decode, validate     not a valid event of its class       DEAD_LETTER, with the reasons
 *     claim                done before                          SUCCESS: not run again
 *                          busy, lost, guard unreachable        HOLD: not an attempt
 *     run                  throws                               RETRY_LATER, claim released
 *     mark done            done                                 SUCCESS
 *                          done, but its result is not kept     SUCCESS, and an error in the log
 *
 * A method with `transaction: true` runs between a BEGIN and a COMMIT that claim and mark are part of: what throws is
 * rolled back; a database that is away, before, in or at the end of it, is a HOLD.
 *
 * A batch is handled in order; at the first message that is not settled the rest is left for later.
 */
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { ConsumeContext, ConsumeOutcome, ReceivedMessage } from '../client/clientTypes.js';
import type { ConsumerFacts, HandlerMethod } from '../decorators/handlerMetadata.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';
import type { GuardedOutcome } from '../idempotency/idempotencyGuard.js';
import { isRecordedDone } from '../idempotency/storedResult.js';
import { type GuardedHandlerParts, type HandlerGuards, runHandler } from './guardedHandler.js';

/** Reasons become a message property; all properties of a message share 32 KiB. */
const REASON_MAX_LENGTH = 1_000;
/** A queue that stands still because the application stops is given again at once elsewhere. */
const STOPPING_PAUSE_MILLIS = 10;

export interface HandlerPipelineParts {
  facts: ConsumerFacts;
  /** The handler object that the container made. */
  handler: object;
  codec: EventCodec;
  guards: HandlerGuards;
  /** Newest generation known of a broker's log. */
  generationOf: (brokerName: string) => number;
  logger: Logger;
}

const SUCCESS: ConsumeOutcome = { status: 'SUCCESS' };

export class HandlerPipeline {
  readonly #parts: HandlerPipelineParts;
  readonly #running: GuardedHandlerParts;
  /** By event type. Event types are one per class: the codec has refused anything else. */
  readonly #routes: ReadonlyMap<string, HandlerMethod>;

  constructor(parts: HandlerPipelineParts) {
    this.#parts = parts;
    this.#running = { group: parts.facts.group, handler: parts.handler, ...parts.guards };
    this.#routes = new Map(parts.facts.handlers.map((method) => [method.type, method]));
  }

  /** The consumer's listener. */
  async consume(messages: readonly ReceivedMessage[], { signal }: ConsumeContext): Promise<ConsumeOutcome> {
    for (const [settled, message] of messages.entries()) {
      const outcome: ConsumeOutcome = signal.aborted
        ? { status: 'HOLD', suspendMillis: STOPPING_PAUSE_MILLIS }
        : await this.#handle(message, signal);
      if (outcome.status !== 'SUCCESS') return { ...outcome, settled };
    }
    return SUCCESS;
  }

  async #handle(message: ReceivedMessage, signal: AbortSignal): Promise<ConsumeOutcome> {
    const { codec, generationOf } = this.#parts;
    // By what the stored type has become, not by the tag.
    const route = this.#routes.get(codec.recognise(message) ?? '');
    if (!route) return SUCCESS;
    const decoded = codec.decode(message, generationOf(message.brokerName));
    switch (decoded.status) {
      case 'UNKNOWN_TYPE':
        return SUCCESS;
      case 'INVALID': {
        const reason = `event ${decoded.type} is not valid: ${decoded.reasons.join('; ')}`;
        this.#report('error', message, { reason }, 'event goes to the dead letters');
        return { status: 'DEAD_LETTER', reason: asPropertyValue(reason) };
      }
      case 'EVENT':
        return this.#run(route, decoded.recorded, message, signal);
    }
  }

  async #run(
    route: HandlerMethod,
    recorded: RecordedEvent,
    message: ReceivedMessage,
    signal: AbortSignal,
  ): Promise<ConsumeOutcome> {
    const { brokerName, originalTopic, queueId, queueOffset, reconsumeTimes } = message;
    try {
      const place = { topic: originalTopic, brokerName, queueId, queueOffset };
      const outcome = await runHandler(route, recorded, { reconsumeTimes, signal, place }, this.#running);
      return this.#settlementOf(outcome, message);
    } catch (thrown) {
      if (isRecordedDone(thrown)) {
        this.#report('error', message, { reason: messageOf(thrown) }, 'result of a handler is not kept');
        return SUCCESS;
      }
      this.#report(
        'warn',
        message,
        { reason: messageOf(thrown), reconsumeTimes, cause: thrown },
        'handler failed, tried again later',
      );
      return { status: 'RETRY_LATER' };
    }
  }

  #settlementOf(outcome: GuardedOutcome, message: ReceivedMessage): ConsumeOutcome {
    switch (outcome.status) {
      case 'done':
      case 'duplicate':
        return SUCCESS;
      case 'busy':
      case 'lost':
      case 'unavailable':
        this.#report('debug', message, { guard: outcome.status }, 'event waits for the idempotency guard');
        return { status: 'HOLD', suspendMillis: outcome.retryAfterMillis };
    }
  }

  #report(level: 'debug' | 'warn' | 'error', message: ReceivedMessage, fields: object, text: string): void {
    const { facts, logger } = this.#parts;
    const { originalTopic, queueId, queueOffset, msgId, tags } = message;
    logger[level](
      { group: facts.group, topic: originalTopic, queueId, queueOffset, eventId: msgId, type: tags, ...fields },
      text,
    );
  }
}

function asPropertyValue(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a property must not hold
  return text.slice(0, REASON_MAX_LENGTH).replace(/[\u0000-\u001f]/g, ' ');
}
