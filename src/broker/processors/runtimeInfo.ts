/**
 * GET_BROKER_RUNTIME_INFO 28: the state of the broker as a table of texts. Keys are RocketMQ's; mqadmin and the dashboard
 * read them by name. What has no counterpart here (thread pools, page-cache locks) is 0. Upstream:
 * `AdminBrokerProcessor.prepareRuntimeInfo`, `StoreStatsService.getRuntimeInfo`.
 */
import type { Files } from '../../base/files.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import { encodeKVTable } from '../../protocol/bodies.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TIMER_TOPIC } from '../../protocol/names.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerStats } from '../brokerStats.js';
import type { DelayedDelivery } from '../delay/delayedDelivery.js';
import type { Timers } from '../delay/timers.js';
import type { Traffic } from '../traffic.js';

export interface RuntimeInfoParts {
  config: BrokerConfig;
  delayed: DelayedDelivery;
  timed: Timers;
  store: Pick<MessageStore, 'minCommitLogOffset' | 'readRecord' | 'visibleEnd'>;
  files: Pick<Files, 'space'>;
  stats: BrokerStats;
  /** Messages put and got, bytes put, pulls that found something and that did not. */
  putTraffic: Traffic;
  putSizeTraffic: Traffic;
  getTraffic: Traffic;
  foundTraffic: Traffic;
  missTraffic: Traffic;
  now: () => number;
}

export function runtimeInfoRows(parts: RuntimeInfoParts): ProcessorRow[] {
  const started = parts.now();
  return [
    processor({
      code: REQUEST_CODE.GET_BROKER_RUNTIME_INFO,
      header: emptyHeader,
      lane: 'admin',
      handle: () => ({ code: RESPONSE_CODE.SUCCESS, body: encodeKVTable({ table: runtimeTable(parts, started) }) }),
    }),
  ];
}

function runtimeTable(parts: RuntimeInfoParts, started: number): Map<string, string> {
  const { config, delayed, store, stats, putTraffic, putSizeTraffic, getTraffic, foundTraffic, missTraffic } = parts;
  const now = parts.now();
  const puts = putTraffic.mornings(now);
  const gets = getTraffic.mornings(now);
  const averageSize = putTraffic.total === 0 ? 0 : putSizeTraffic.total / putTraffic.total;
  const table = new Map<string, string>([
    ['brokerVersionDesc', 'V5_5_0'],
    ['brokerActive', 'true'],
    ['bootTimestamp', String(started)],
    ['runtime', durationText(now - started)],
    ['startAcceptSendRequestTimeStamp', '0'],
    ['putTps', putTraffic.ratesText(now)],
    ['getTransferredTps', getTraffic.ratesText(now)],
    ['getFoundTps', foundTraffic.ratesText(now)],
    ['getMissTps', missTraffic.ratesText(now)],
    ['getTotalTps', sumOfRates(foundTraffic.ratesText(now), missTraffic.ratesText(now))],
    ['putMessageTimesTotal', String(putTraffic.total)],
    ['putMessageSizeTotal', String(putSizeTraffic.total)],
    ['putMessageAverageSize', averageSize.toFixed(2)],
    ['msgPutTotalTodayNow', String(putTraffic.total)],
    ['msgPutTotalTodayMorning', String(puts.today)],
    ['msgPutTotalYesterdayMorning', String(puts.yesterday)],
    ['msgGetTotalTodayNow', String(getTraffic.total)],
    ['msgGetTotalTodayMorning', String(gets.today)],
    ['msgGetTotalYesterdayMorning', String(gets.yesterday)],
    ['commitLogMinOffset', String(store.minCommitLogOffset())],
    ['commitLogMaxOffset', String(store.visibleEnd().commitLogOffset)],
    ['earliestMessageTimeStamp', String(earliestTime(store))],
    ['timerEnqueueTps', stats.topicPutTps(TIMER_TOPIC).toFixed(2)],
    ['timerDequeueTps', '0.0'],
    ['sendThreadPoolQueueCapacity', String(config.sendThreadPoolQueueCapacity)],
    ['pullThreadPoolQueueCapacity', String(config.pullThreadPoolQueueCapacity)],
    ['litePullThreadPoolQueueCapacity', String(config.litePullThreadPoolQueueCapacity)],
    ['queryThreadPoolQueueCapacity', String(config.queryThreadPoolQueueCapacity)],
  ]);
  const timer = parts.timed.report();
  // Upstream's unit is seconds.
  table.set('timerReadBehind', String(Math.floor((timer?.readBehindMillis ?? 0) / 1000)));
  table.set('timerOffsetBehind', String(timer?.offsetBehind ?? 0));
  table.set('timerCongestNum', String(timer?.waitingCount ?? 0));
  for (const [key, text] of diskTexts(parts)) table.set(key, text);
  for (const key of ALWAYS_ZERO) table.set(key, '0');
  for (const { level, offset, maxOffset } of delayed.progress()) {
    table.set(`scheduleMessageOffset_${level}`, `${offset},${maxOffset}`);
  }
  return table;
}

/** There are no thread pools, page-cache locks or unfinished dispatches that could be reported. */
const ALWAYS_ZERO = [
  'sendThreadPoolQueueSize',
  'pullThreadPoolQueueSize',
  'litePullThreadPoolQueueSize',
  'ackThreadPoolQueueSize',
  'queryThreadPoolQueueSize',
  'sendThreadPoolQueueHeadWaitTimeMills',
  'pullThreadPoolQueueHeadWaitTimeMills',
  'litePullThreadPoolQueueHeadWaitTimeMills',
  'ackThreadPoolQueueHeadWaitTimeMills',
  'queryThreadPoolQueueHeadWaitTimeMills',
  'ackThreadPoolQueueCapacity',
  'EndTransactionQueueSize',
  'EndTransactionThreadPoolQueueCapacity',
  'pageCacheLockTimeMills',
  'dispatchBehindBytes',
  'dispatchMaxBuffer',
  'getMessageEntireTimeMax',
  'putMessageEntireTimeMax',
  'putMessageFailedTimes',
  'putLatency99',
  'putLatency999',
  'remainHowManyDataToFlush',
  'remainTransientStoreBufferNumbs',
];

/** Store time of the oldest message; -1 when there is none. */
function earliestTime(store: RuntimeInfoParts['store']): number {
  const record = store.readRecord(store.minCommitLogOffset());
  return record ? decodeRecord(record, 0, { verifyCrc: false }).storeTimestamp : -1;
}

/** How full the disk is; log and queues lie on the same one. Nothing where the file system does not tell. */
function diskTexts({ files, config }: RuntimeInfoParts): [key: string, text: string][] {
  try {
    const { totalBytes, availableBytes } = files.space(config.storePathRootDir);
    const ratio = totalBytes > 0 ? String((totalBytes - availableBytes) / totalBytes) : '0.0';
    return [
      ['commitLogDirCapacity', `Total : ${gibText(totalBytes)}, Free : ${gibText(availableBytes)}.`],
      ['commitLogDiskRatio', ratio],
      // One for each directory that the log may lie in: here there is one.
      [`commitLogDiskRatio_${config.storePathCommitLog}`, ratio],
      ['consumeQueueDiskRatio', ratio],
    ];
  } catch {
    return [
      ['commitLogDiskRatio', '0.0'],
      ['consumeQueueDiskRatio', '0.0'],
    ];
  }
}

const gibText = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;

function sumOfRates(left: string, right: string): string {
  const others = right.split(' ').map(Number);
  const rates = left.split(' ').map((rate, index) => Number(rate) + (others[index] ?? 0));
  return rates.map((rate) => rate.toFixed(2)).join(' ');
}

function durationText(millis: number): string {
  const seconds = Math.floor(millis / 1000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  return `[ ${days} days, ${hours} hours, ${minutes} minutes, ${seconds % 60} seconds ]`;
}
