/** What a replay does at its edges: with a result that cannot be kept, and when the application stops. */
import { expect, it } from 'vitest';
import { Consumer, event, Idempotent, type MessageContext, On } from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { OrderPlaced } from '../support/orders.js';

async function withOrders(app: TestApp, count: number): Promise<void> {
  const orders = Array.from({ length: count }, (_, at) => event(OrderPlaced, { customer: 'ann', cents: at + 1 }));
  await app.eventStore.append({ topic: 'orders', stream: 'order:1' }, orders);
}

it('goes on after an effect that is recorded done without its result, as the live consumer does', async () => {
  const handled: number[] = [];
  @Consumer('orders', { group: 'large', replay: 'run' })
  class Large {
    @On(OrderPlaced)
    @Idempotent({ result: true })
    placed({ cents }: OrderPlaced, { isReplay }: MessageContext): string {
      if (isReplay) handled.push(cents);
      return cents === 2 ? 'x'.repeat(70_000) : 'small';
    }
  }
  const errors: object[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (fields: object) => void errors.push(fields) };
  await using app = await TestApp.start({ handlers: [], events: [OrderPlaced], storage: 'memory', logger });
  await withOrders(app, 3);
  const report = await app.foldlog.replay({ consumer: Large });
  expect(handled).toEqual([1, 2, 3]);
  expect(report.applied).toBe(3);
  expect(errors).toMatchObject([{ group: 'large', reason: expect.stringContaining('70002 bytes') }]);
});

it('ends when the application stops: no handler is called for what it had read ahead', async () => {
  await using app = await TestApp.start({ handlers: [], events: [OrderPlaced], storage: 'memory' });
  await withOrders(app, 100);
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let goOn = () => {};
  const stopped = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const handled: number[] = [];
  const replay = app.foldlog.replay({
    topics: ['orders'],
    async onEvent({ version }) {
      handled.push(version);
      begin();
      await stopped;
    },
  });
  const ended = replay.then(
    () => 'done',
    (thrown: { code: string }) => thrown.code,
  );
  await begun;
  await app.foldlog.stop();
  goOn();
  expect(await ended).toBe('LIFECYCLE');
  expect(handled).toEqual([1]);
});
