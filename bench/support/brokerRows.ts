/**
 * The kinds of work by which brokers are compared: what the Java client is told, what is there before, and the ratios
 * that are to be reached, foldlog : Apache RocketMQ. `--rows` names them by the beginning of their ids.
 */
import type { FlushKind } from './brokers.js';

/** Bounds of ratios: rates at least, the others at most. */
export interface RowTargets {
  rate: number | undefined;
  serverCpu: number;
  p99?: number;
}

export interface BrokerRow {
  id: string;
  title: string;
  flush: FlushKind;
  /** What the client is told; the ones without `ownPace` are given a lead-in and a time. */
  command: string;
  options: Readonly<Record<string, string | number>>;
  /** Runs until its work is done instead of for a time. */
  hasOwnPace?: boolean;
  /** Made once on each broker before. */
  fill?: { topic: string; count: number; keys: 0 | 1 };
  /** Compared with the bare server, too; how many times its CPU time is the most is the row's to say. */
  hasLimit?: boolean;
  limit?: number;
  targets: RowTargets;
}

const BACKLOG = 500_000;
const KEYS = 20_000;

function send(threads: number, body: number, flush: FlushKind, targets: RowTargets): BrokerRow {
  const isSync = flush === 'SYNC_FLUSH';
  const size = body === 1024 ? '1 KiB' : `${body} B`;
  return {
    id: isSync ? `flush-${threads}` : `send-${body}-${threads}`,
    title: `${isSync ? 'SYNC_FLUSH' : 'synchronous'} send, ${size}, ${threads === 1 ? '1 thread' : `${threads} threads`}`,
    flush,
    command: 'send',
    options: { topic: `BenchSend${body}`, threads, body, batch: 1 },
    hasLimit: !isSync && body === 128 && threads < 64,
    targets,
  };
}

const SMALL: RowTargets = { rate: 1.5, serverCpu: 1 / 3, p99: 1 / 2 };
const LARGE: RowTargets = { rate: 1.2, serverCpu: 1 / 2, p99: 1 / 2 };

/** Queries come before the large topics, as far as they may: what they find is then the newest in the index. */
export function brokerRows(isQuick: boolean): BrokerRow[] {
  const backlog = { topic: 'BenchBacklog', count: isQuick ? BACKLOG / 10 : BACKLOG, keys: 0 } as const;
  const keys = { topic: 'BenchKeys', count: isQuick ? KEYS / 10 : KEYS, keys: 1 } as const;
  return [
    send(1, 128, 'ASYNC_FLUSH', SMALL),
    send(16, 128, 'ASYNC_FLUSH', SMALL),
    send(64, 128, 'ASYNC_FLUSH', SMALL),
    send(1, 1024, 'ASYNC_FLUSH', LARGE),
    send(16, 1024, 'ASYNC_FLUSH', LARGE),
    send(64, 1024, 'ASYNC_FLUSH', LARGE),
    {
      id: 'async',
      title: 'asynchronous send, 128 B, 256 in flight',
      flush: 'ASYNC_FLUSH',
      command: 'sendAsync',
      options: { topic: 'BenchAsync', inFlight: 256, body: 128 },
      hasLimit: true,
      limit: 2.5,
      targets: { rate: 1.5, serverCpu: 1 / 4, p99: 1 / 2 },
    },
    {
      id: 'batch',
      title: 'send in batches of 32, 128 B, 4 threads',
      flush: 'ASYNC_FLUSH',
      command: 'send',
      options: { topic: 'BenchBatch', threads: 4, body: 128, batch: 32 },
      targets: { rate: 1.2, serverCpu: 1 / 2 },
    },
    {
      id: 'backlog',
      title: `push consumption of ${backlog.count.toLocaleString('en-US')}, 128 B`,
      flush: 'ASYNC_FLUSH',
      command: 'consume',
      options: { topic: backlog.topic, count: backlog.count },
      hasOwnPace: true,
      fill: backlog,
      targets: { rate: 1.2, serverCpu: 1 / 2 },
    },
    {
      id: 'pull',
      title: 'pull, 32 a time, one in flight',
      flush: 'ASYNC_FLUSH',
      command: 'pull',
      options: { topic: backlog.topic, size: 32 },
      fill: backlog,
      targets: { rate: 1.5, serverCpu: 1 / 2 },
    },
    {
      id: 'query',
      title: `query by one of ${keys.count.toLocaleString('en-US')} keys`,
      flush: 'ASYNC_FLUSH',
      command: 'query',
      options: { topic: keys.topic, count: keys.count },
      fill: keys,
      targets: { rate: 2, serverCpu: 1 / 4 },
    },
    {
      id: 'endToEnd',
      title: 'end to end at 1,000 messages/s, 128 B',
      flush: 'ASYNC_FLUSH',
      command: 'endToEnd',
      options: { rate: 1000, body: 128 },
      targets: { rate: undefined, serverCpu: 1 / 3, p99: 1 / 3 },
    },
    send(1, 128, 'SYNC_FLUSH', { rate: 2, serverCpu: 1 / 4, p99: 1 / 3 }),
    send(64, 128, 'SYNC_FLUSH', { rate: 1.5, serverCpu: 1 / 4, p99: 1 / 3 }),
  ];
}
