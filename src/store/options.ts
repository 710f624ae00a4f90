/** The store's options with RocketMQ's defaults, checked once: a wrong one is named, with its value. */
import { systemClock } from '../base/clock.js';
import { OptionsError } from '../base/errors.js';
import { diskFiles } from '../base/files.js';
import { silentLogger } from '../base/logger.js';
import { lockDirectory } from './lock.js';
import { DEFAULT_DELAY_LEVELS } from './queues/dispatch.js';
import { QUEUE_ENTRY_BYTES } from './queues/queueEntry.js';
import { checkedRetention, RETENTION_DEFAULTS, type RetentionSettings } from './retentionOptions.js';
import type { MessageStoreOptions } from './storeTypes.js';

const MIB = 1024 * 1024;

export type StoreSettings = Required<Omit<MessageStoreOptions, 'storeHost' | 'retention'>> &
  Pick<MessageStoreOptions, 'storeHost'> & { retention: RetentionSettings };

const DEFAULTS = {
  flushDiskType: 'ASYNC_FLUSH',
  mappedFileSizeCommitLog: 1024 * MIB,
  mappedFileSizeConsumeQueue: 300_000 * QUEUE_ENTRY_BYTES,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
  maxMessageSize: 4 * MIB,
  syncFlushTimeoutMillis: 5_000,
  flushIntervalCommitLogMillis: 500,
  delayLevels: DEFAULT_DELAY_LEVELS,
  tailCacheBytes: 16 * MIB,
  indexCacheBytes: 64 * MIB,
  openFilesMax: 256,
  retention: RETENTION_DEFAULTS,
  keepsTopic: () => false,
  multiDispatch: false,
  atEndOfTurn: (action) => void setImmediate(action),
  lockDirectory,
  files: diskFiles,
  clock: systemClock,
  logger: silentLogger,
} satisfies Omit<StoreSettings, 'directory'>;

/** Smallest allowed value of each number. */
const MINIMUM = {
  mappedFileSizeCommitLog: 1024,
  mappedFileSizeConsumeQueue: QUEUE_ENTRY_BYTES,
  maxHashSlotNum: 1,
  maxIndexNum: 2,
  maxMessageSize: 1,
  syncFlushTimeoutMillis: 1,
  flushIntervalCommitLogMillis: 1,
  tailCacheBytes: 0,
  indexCacheBytes: 0,
  openFilesMax: 8,
} as const satisfies Partial<Record<keyof MessageStoreOptions, number>>;

export function checkedOptions(options: MessageStoreOptions): StoreSettings {
  if (options.directory === '') throw new OptionsError('directory is empty: name the store directory');
  const retention = checkedRetention(options.retention ?? {});
  const settings: StoreSettings = { ...DEFAULTS, ...withoutUndefined(options), retention };
  for (const [name, minimum] of Object.entries(MINIMUM) as [keyof typeof MINIMUM, number][]) {
    const value = settings[name];
    if (!Number.isSafeInteger(value) || value < minimum) {
      throw new OptionsError(`${name} is ${value}: it must be a whole number from ${minimum}`, { name, value });
    }
  }
  const { mappedFileSizeConsumeQueue: queueBytes } = settings;
  if (queueBytes % QUEUE_ENTRY_BYTES !== 0) {
    const message = `mappedFileSizeConsumeQueue is ${queueBytes}: it must be a multiple of ${QUEUE_ENTRY_BYTES}`;
    throw new OptionsError(message, { value: queueBytes });
  }
  return settings;
}

function withoutUndefined(options: MessageStoreOptions): MessageStoreOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { directory: options.directory, ...Object.fromEntries(given) };
}
