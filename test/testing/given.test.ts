import { describe, expect, it } from 'vitest';
import { decider, Event, event } from '../../src/index.js';
import { given } from '../../src/testing/index.js';
import { Order, OrderPlaced, OrderShipped } from '../support/orders.js';

const placed = event(OrderPlaced, { customer: 'c', cents: 100 });
const shipped = event(OrderShipped, { carrier: 'dhl' });

describe('given an aggregate', () => {
  it('passes when the events are those expected', () => {
    given(Order, [placed])
      .when((order) => order.ship('dhl'))
      .then([shipped]);
    given(Order, [placed, shipped])
      .when((order) => order.ship('ups'))
      .then([]);
  });

  it('throws at once when they are not, showing both', () => {
    const outcome = given(Order, [placed]).when((order) => order.ship('ups'));
    expect(() => outcome.then([shipped])).toThrow(
      'expected OrderShipped {"carrier":"dhl"}, the command made OrderShipped {"carrier":"ups"}',
    );
  });

  it('tells event classes with equal fields apart', () => {
    @Event({ type: 'OrderParked' })
    class OrderParked {
      carrier!: string;
    }
    const outcome = given(Order, [placed]).when((order) => order.ship('dhl'));
    expect(() => outcome.then([event(OrderParked, { carrier: 'dhl' })])).toThrow(/OrderParked/);
  });

  it('expects refusals by class, text or pattern', () => {
    const refused = () => given(Order, []).when((order) => order.ship('dhl'));
    refused().thenThrows();
    refused().thenThrows(Error);
    refused().thenThrows('not placed');
    refused().thenThrows(/^the order/);
    expect(() => refused().thenThrows(TypeError)).toThrow(/expected the command to throw TypeError/);
    expect(() => refused().thenThrows('already')).toThrow(/it threw the order is not placed/);
    expect(() => refused().then([])).toThrow('the order is not placed');
    const done = given(Order, [placed]).when((order) => order.ship('dhl'));
    expect(() => done.thenThrows()).toThrow(/expected the command to throw, it made OrderShipped/);
  });

  it('waits for commands that are asynchronous', async () => {
    const outcome = () => given(Order, [placed]).when(async (order) => order.ship('dhl'));
    await outcome().then([shipped]);
    await expect(Promise.resolve(outcome().thenThrows())).rejects.toThrow(/expected the command to throw/);
    await given(Order, [])
      .when(async (order) => order.ship('dhl'))
      .thenThrows('not placed');
  });

  it('says what is missing when the outcome itself is awaited', async () => {
    const outcome = given(Order, []).when(() => {}) as unknown as Promise<void>;
    await expect((async () => await outcome)()).rejects.toThrow(/go on with \.then/);
  });
});

describe('given a decider', () => {
  @Event({ type: 'Switched' })
  class Switched {
    isOn!: boolean;
  }
  const light = decider({
    initialState: () => ({ isOn: false }),
    decide(command: 'on' | 'off', state) {
      if (command === 'on' && state.isOn) throw new Error('it is on');
      return command === 'off' && !state.isOn ? [] : [event(Switched, { isOn: command === 'on' })];
    },
    evolve: (state, happened) => (happened instanceof Switched ? { isOn: happened.isOn } : state),
  });

  it('runs the three functions', () => {
    const on = event(Switched, { isOn: true });
    given(light, []).when('on').then([on]);
    given(light, [on]).when('on').thenThrows('it is on');
    given(light, [on])
      .when('off')
      .then([event(Switched, { isOn: false })]);
    given(light, []).when('off').then([]);
  });
});
