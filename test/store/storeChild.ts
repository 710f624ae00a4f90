/** Appends until it is killed, and prints each queue offset that was answered. Run by messageStore.test.ts. */
import { MessageStore } from '../../src/store/index.js';
import { message } from '../support/storeMessages.js';

const [directory = '', sizes = '{}'] = process.argv.slice(2);
const store = await MessageStore.open({ directory, ...JSON.parse(sizes) });
for (let index = 0; ; index += 1) {
  const outcome = store.append([message({ body: `message ${index}`, properties: { UNIQ_KEY: `u${index}` } })]);
  if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
  await outcome.turn.visible;
  process.stdout.write(`${outcome.places[0]?.queueOffset}\n`);
}
