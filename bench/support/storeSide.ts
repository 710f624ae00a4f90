/**
 * One side of the comparison of event stores, in a process of its own, so that neither meets the other's memory and
 * garbage. Its parent (`storeSides.ts`) says what to do, one thing at a time.
 *
 *     tsx storeSide.ts <foldlog | sqlite | postgresql> <directory> [url of the PostgreSQL server]
 */
import { openEmmettStore } from '../emmett/emmettStore.js';
import type { AppendWork, ComparedStore, LoadWork, Sample } from './comparedStore.js';
import { FoldlogStore } from './foldlogStore.js';
import { postgresCpuMillis } from './postgresCpu.js';

export type SideName = 'foldlog' | 'sqlite' | 'postgresql';

export type SideRequest =
  | { does: 'sample'; work: AppendWork | LoadWork; millis: number }
  | { does: 'fill'; work: LoadWork }
  | { does: 'fillLog'; events: number }
  | { does: 'rebuild'; events: number }
  | { does: 'count'; events: number }
  | { does: 'close' };

export type SideAnswer = { sample?: Sample } | { error: string };

const [side = '', directory = '', url = ''] = process.argv.slice(2);
const store: ComparedStore =
  side === 'foldlog' ? await FoldlogStore.open(directory) : await openEmmettStore({ side, directory, url });
const serverCpuMillis = side === 'postgresql' ? await postgresCpuMillis(url) : () => 0;

process.on('message', (request: SideRequest) => {
  void answer(request)
    .then<SideAnswer, SideAnswer>(
      (sample) => ({ ...(sample && { sample }) }),
      (thrown: unknown) => ({ error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : `${thrown}` }),
    )
    .then((said) => process.send?.(said, () => request.does === 'close' && process.disconnect()));
});
process.send?.({});

async function answer(request: SideRequest): Promise<Sample | undefined> {
  switch (request.does) {
    case 'sample': {
      const { work, millis } = request;
      return measured(() => (work.kind === 'append' ? store.append(work, millis) : store.load(work, millis)));
    }
    case 'fill':
      await store.fill(request.work);
      return undefined;
    case 'fillLog':
      await store.fillLog(request.events);
      return undefined;
    case 'rebuild':
      return measured(async () => {
        await store.rebuild(request.events);
        return request.events;
      });
    case 'count':
      if (!(store instanceof FoldlogStore)) throw new Error('only foldlog counts');
      return { count: request.events, ...(await store.count(request.events)) };
    case 'close':
      await store.close();
      return undefined;
  }
}

async function measured(run: () => Promise<number>): Promise<Sample> {
  const serverBefore = serverCpuMillis();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const count = await run();
  const millis = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return { count, millis, cpuMillis: (user + system) / 1000 + serverCpuMillis() - serverBefore };
}
