/**
 * The timer of one broker: its files, opened once the store is, and the delivery that works on them. With
 * `timerWheelEnable=false` nothing is opened: what waits in the log stays there. Upstream: `TimerMessageStore`.
 */
import type { Clock } from '../../base/clock.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import { TIMER_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';
import {
  encodeTimerCheckpoint,
  readTimerCheckpoint,
  TIMER_CHECKPOINT_USED,
} from '../../store/timer/timerCheckpoint.js';
import { TimerFiles } from '../../store/timer/timerFiles.js';
import { TimerMetrics } from '../../store/timer/timerMetrics.js';
import type { MessageIntake } from '../messageIntake.js';
import { TimerDelivery } from './timerDelivery.js';
import { waitingMessageAt } from './timerMessage.js';

export interface TimersParts {
  config: Pick<
    BrokerConfig,
    | 'fileReservedTime'
    | 'mappedFileSizeTimerLog'
    | 'storePathRootDir'
    | 'timerFlushIntervalMs'
    | 'timerPrecisionMs'
    | 'timerRollWindowSlot'
    | 'timerWheelEnable'
  >;
  store: Pick<MessageStore, 'minCommitLogOffset' | 'queueRange' | 'readQueue' | 'readRecord' | 'syncLog'>;
  intake: Pick<MessageIntake, 'putDue'>;
  files: Files;
  clock: Clock;
  logger: Logger;
  /** Slots of the wheel; upstream's number unless a test wants fewer. */
  slotCount?: number;
}

/** How the timer does, for tools. */
export interface TimerReport {
  /** Milliseconds since the oldest slot that is due and not read; 0 when none is. */
  readBehindMillis: number;
  /** Messages in the log that are not in the wheel yet. */
  offsetBehind: number;
  /** Messages that wait. */
  waitingCount: number;
}

export class Timers {
  readonly #parts: TimersParts;
  #opened: { timers: TimerFiles; delivery: TimerDelivery; metrics: TimerMetrics } | undefined;

  constructor(parts: TimersParts) {
    this.#parts = parts;
  }

  /** Recovers the files. Throws CORRUPTION, OPTIONS_INVALID or a system error. */
  open(): void {
    const { config, store, intake, files, clock, logger, slotCount } = this.#parts;
    if (!config.timerWheelEnable) return;
    const directory = config.storePathRootDir;
    const timers = new TimerFiles({
      directory,
      files,
      clock,
      logger,
      segmentBytes: config.mappedFileSizeTimerLog,
      precisionMillis: config.timerPrecisionMs,
      ...(slotCount !== undefined && { slotCount }),
      messageAt: (commitLogOffset) => waitingMessageAt(store, commitLogOffset),
    });
    const metrics = new TimerMetrics({ files, path: joinPath(directory, 'config', 'timermetrics') });
    const delivery = new TimerDelivery({
      store,
      intake,
      timers,
      metrics,
      config: { timerRollWindowSlot: rollWindowOf(config), timerFlushIntervalMs: config.timerFlushIntervalMs },
      clock,
      logger,
    });
    this.#opened = { timers, delivery, metrics };
  }

  start(): void {
    this.#opened?.delivery.start();
  }

  /** Ends after the slot under way; everything is durable then. */
  async stop(): Promise<void> {
    await this.#opened?.delivery.stop();
  }

  /** A message became visible in rmq_sys_wheel_timer. */
  onArrival(): void {
    this.#opened?.delivery.onArrival();
  }

  /** Messages that wait in the slot of a time. */
  countAt(outMillis: TimestampMillis): number {
    return this.#opened?.timers.countAt(outMillis) ?? 0;
  }

  /** Undefined when there is no timer. */
  report(): TimerReport | undefined {
    if (!this.#opened) return undefined;
    const { timers, metrics } = this.#opened;
    const { store, clock } = this.#parts;
    const now = clock.now();
    return {
      readBehindMillis: Math.max(0, now - (timers.next ?? now)),
      offsetBehind: Math.max(0, store.queueRange(TIMER_TOPIC, 0).maxOffset - timers.queueOffset),
      waitingCount: metrics.total,
    };
  }

  /** `config/timermetrics` as it is now. Undefined when there is no timer. */
  metricsText(): string | undefined {
    return this.#opened?.metrics.text();
  }

  /** `config/timercheck` as it was saved last, as far as RocketMQ knows it. Undefined before the first save. */
  checkpoint(): Buffer | undefined {
    const { config, files } = this.#parts;
    if (!this.#opened) return undefined;
    const saved = readTimerCheckpoint(files, joinPath(config.storePathRootDir, 'config', 'timercheck'));
    return saved && encodeTimerCheckpoint({ ...saved, precisionMillis: undefined }).subarray(0, TIMER_CHECKPOINT_USED);
  }

  /** Was the slot of a time read, or is it being read? */
  isOver(outMillis: TimestampMillis): boolean {
    return this.#opened?.delivery.isOver(outMillis) ?? false;
  }

  /** Does a message wait for the topic? Undefined: it cannot be told. */
  isWaitingFor(topic: string): boolean | undefined {
    if (this.#opened) return this.#opened.delivery.isWaitingFor(topic);
    return this.#parts.store.queueRange(TIMER_TOPIC, 0).maxOffset === 0 ? false : undefined;
  }
}

/** No message waits for so long without being stored again that retention takes it. */
function rollWindowOf({ timerRollWindowSlot, timerPrecisionMs, fileReservedTime }: TimersParts['config']): number {
  const reservedMillis = fileReservedTime * 3600_000;
  return Math.min(timerRollWindowSlot, Math.floor((reservedMillis * 2) / 3 / timerPrecisionMs));
}
