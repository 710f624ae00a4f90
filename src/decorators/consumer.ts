/** `@Consumer`: a class whose `@On` methods consume a topic as a group. */
import { OptionsError } from '../base/errors.js';
import { MessageModel } from '../client/clientTypes.js';
import { kebabCase } from '../eventstore/aggregate.js';
import { type AnyClass, writeMetadata } from '../eventstore/classMetadata.js';
import { assertGroup, assertTopic } from '../protocol/names.js';
import {
  assertHasHandler,
  assertPullInterval,
  CONSUMER,
  type ConsumerOptions,
  makeInjectable,
  startPointOf,
} from './handlerMetadata.js';

/** Most messages that one fetch for a class may bring; a broker sends no more at once. */
const BATCH_MAX = 1024;

/**
 * Marks a class whose `@On` methods get the events of a topic. The class is made by the application's container, so
 * its constructor's parameters carry `@inject(token)`.
 *
 * @throws OptionsError naming the class and what is wrong
 * @example
 * @Consumer('orders', { group: 'billing', filter: sql('cents > 1000') })
 * class Billing { @On(OrderPlaced) async placed(event: OrderPlaced, context: MessageContext) { … } }
 */
export function Consumer(topic: string, options: ConsumerOptions = {}): ClassDecorator {
  return (decorated) => {
    const target = decorated as unknown as AnyClass;
    const where = `@Consumer of class ${target.name}`;
    const { group = kebabCase(target.name), model = MessageModel.CLUSTERING, batch, mode, maxReconsumeTimes } = options;
    const refuse = (why: string) => new OptionsError(`${where}: ${why}`, { class: target.name });
    assertTopic(topic);
    assertGroup(group);
    if (!Object.hasOwn(MessageModel, model)) throw refuse(`model ${model} is neither CLUSTERING nor BROADCASTING`);
    if (mode !== undefined && mode !== 'ordered' && mode !== 'concurrent') {
      throw refuse(`mode ${JSON.stringify(mode)} is neither 'ordered' nor 'concurrent'`);
    }
    if (batch !== undefined && !(Number.isSafeInteger(batch) && batch >= 1 && batch <= BATCH_MAX)) {
      throw refuse(`batch ${batch} must be 1 to ${BATCH_MAX}`);
    }
    const { pullIntervalMillis } = options;
    assertPullInterval(pullIntervalMillis, where, target);
    if (maxReconsumeTimes !== undefined && !(Number.isSafeInteger(maxReconsumeTimes) && maxReconsumeTimes >= -1)) {
      throw refuse(`maxReconsumeTimes ${maxReconsumeTimes} must be an integer from 0, or -1 for the default`);
    }
    if (typeof options.filter === 'string' && options.filter.trim() === '') throw refuse('filter is empty');
    assertHasHandler(target, 'Consumer');
    makeInjectable(target);
    writeMetadata(
      CONSUMER,
      {
        topic,
        group,
        model,
        start: startPointOf(options.from, where),
        filter: options.filter,
        mode,
        batch,
        pullIntervalMillis,
        replay: options.replay ?? 'skip',
        maxReconsumeTimes,
        idempotent: options.idempotent ?? model === MessageModel.CLUSTERING,
      },
      target,
    );
  };
}
