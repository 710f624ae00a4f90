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
 *
 * A batch is handled in order; at the first message that is not settled the rest is left for later.
 */
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { ConsumeContext, ConsumeOutcome, ReceivedMessage } from '../client/clientTypes.js';
import type { ConsumerFacts, HandlerMethod } from '../decorators/handlerMetadata.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';
import type { GuardedOutcome, IdempotencyGuard } from '../idempotency/idempotencyGuard.js';
import { contextOf, type MessageContext } from './messageContext.js';

/** Reasons become a message property; all properties of a message share 32 KiB. */
const REASON_MAX_LENGTH = 1_000;
/** A queue that stands still because the application stops is given again at once elsewhere. */
const STOPPING_PAUSE_MILLIS = 10;

export interface HandlerPipelineParts {
  facts: ConsumerFacts;
  /** The handler object that the container made. */
  handler: object;
  codec: EventCodec;
  /** Undefined when no method of the class is guarded. */
  guard: IdempotencyGuard | undefined;
  /** Newest generation known of a broker's log. */
  generationOf: (brokerName: string) => number;
  logger: Logger;
}

type Method = (event: object, context: MessageContext) => unknown;

/** A method ready to be called. */
interface Route extends HandlerMethod {
  call: Method;
}

const SUCCESS: ConsumeOutcome = { status: 'SUCCESS' };

export class HandlerPipeline {
  readonly #parts: HandlerPipelineParts;
  readonly #routes: ReadonlyMap<string, Route>;

  constructor(parts: HandlerPipelineParts) {
    this.#parts = parts;
    this.#routes = routesOf(parts.facts.handlers, parts.handler);
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
    route: Route,
    recorded: RecordedEvent,
    message: ReceivedMessage,
    signal: AbortSignal,
  ): Promise<ConsumeOutcome> {
    const { facts, guard } = this.#parts;
    const { reconsumeTimes } = message;
    try {
      if (!route.idempotent || !guard) {
        await route.call(recorded.event, contextOf(recorded, { reconsumeTimes, signal }));
        return SUCCESS;
      }
      const outcome = await guard.run(
        facts.group,
        guardKeyOf(route, recorded),
        async (leaseSignal) => {
          await route.call(recorded.event, contextOf(recorded, { reconsumeTimes, signal: leaseSignal }));
        },
        { signal, ...(route.ttlMillis === undefined ? {} : { ttlMillis: route.ttlMillis }) },
      );
      return this.#settlementOf(outcome, message);
    } catch (thrown) {
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

/** Event type -> method. Event types are one per class: the codec has refused anything else. */
function routesOf(handlers: readonly HandlerMethod[], handler: object): Map<string, Route> {
  return new Map(
    handlers.map((one) => {
      const method = Reflect.get(handler, one.member) as Method;
      return [one.type, { ...one, call: method.bind(handler) }];
    }),
  );
}

/** A key of one's own is told apart by method, so that two methods may use the same business key. */
export function guardKeyOf({ key, member }: Pick<HandlerMethod, 'key' | 'member'>, recorded: RecordedEvent): string {
  return key ? `${member}/${key(recorded.event, recorded)}` : recorded.eventId;
}

function asPropertyValue(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a property must not hold
  return text.slice(0, REASON_MAX_LENGTH).replace(/[\u0000-\u001f]/g, ' ');
}
