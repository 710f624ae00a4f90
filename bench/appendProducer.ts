/**
 * How fast does a program store messages in its own process? Embedded broker, the public producer, 1 KiB, ASYNC_FLUSH,
 * 1 and 64 in flight: from `send` to its answer, with everything that a client does.
 */
import { Producer, Session } from '../src/client/index.js';
import { startEmbedded } from '../src/embedded/index.js';
import { number, question, type Work } from './support/frame.js';

const BODY_BYTES = 1024;

await question('append through the producer, embedded', async (bench) => {
  const embedded = await startEmbedded({ store: bench.directories.make(), config: { flushDiskType: 'ASYNC_FLUSH' } });
  const session = await Session.open({
    namesrvAddr: embedded.namesrvAddr,
    transport: (table) => embedded.connect(table),
  });
  const producer = new Producer({ session });
  const body = Buffer.alloc(BODY_BYTES, 'x');
  await producer.send({ topic: 'BenchProducer', tags: 'TagA', body });
  const sending = (inFlight: number, count: number): Work<unknown> => ({
    name: `producer, ${BODY_BYTES} B, ASYNC_FLUSH, ${inFlight} in flight`,
    count: bench.scaled(count),
    bytesPerOperation: BODY_BYTES,
    async run(_, total) {
      let left = total;
      const caller = async () => {
        for (; left > 0; ) {
          left -= 1;
          const { status } = await producer.send({ topic: 'BenchProducer', tags: 'TagA', body });
          if (status !== 'SEND_OK') throw new Error(status);
        }
      };
      await Promise.all(Array.from({ length: inFlight }, caller));
    },
  });
  const [, many] = await bench.compare([sending(1, 20_000), sending(64, 100_000)]);
  await producer.close();
  await session.close();
  await embedded.stop();
  const reached = many?.perSecond ?? 0;
  bench.target('1 KiB, ASYNC_FLUSH, 64 in flight: 100,000/s', `${number(reached)}/s`, reached >= 100_000);
});
