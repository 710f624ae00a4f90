/**
 * What retention is told: RocketMQ's keys with its defaults and bounds (upstream: `MessageStoreConfig`,
 * `DefaultMessageStore.CleanCommitLogService`). Checked once, when the store is opened.
 */
import { OptionsError } from '../base/errors.js';

export interface RetentionOptions {
  /** Hours after which a commit log file that nothing was written to expires. Default 72. */
  fileReservedTimeHours?: number;
  /** Hours of the local day at which expired files are removed, separated by `;`. Empty: at none. Default `04`. */
  deleteWhen?: string;
  /** Disk usage in percent above which expired files are removed at any hour, 10 to 95. Default 75. */
  diskMaxUsedSpaceRatio?: number;
  /** Remove files before they expire when the disk is nearly full. Default true. */
  cleanFileForciblyEnable?: boolean;
  /** Disk usage in percent above which that is done, and down to which refused writes wait, 30 to 85. Default 85. */
  diskSpaceCleanForciblyRatio?: number;
  /** Disk usage in percent above which writes are refused, 35 to 90. Default 90. */
  diskSpaceWarningLevelRatio?: number;
  /** How often files and disk are looked at, in milliseconds. Default 10,000; the first look is after a minute. */
  cleanResourceIntervalMillis?: number;
  /** Pause between two removals, in milliseconds. Default 100. */
  deleteCommitLogFilesIntervalMillis?: number;
  /** Commit log files that one look removes at most. Default 10. */
  deleteFileBatchMax?: number;
}

export type RetentionSettings = Required<RetentionOptions>;

export const RETENTION_DEFAULTS: RetentionSettings = {
  fileReservedTimeHours: 72,
  deleteWhen: '04',
  diskMaxUsedSpaceRatio: 75,
  cleanFileForciblyEnable: true,
  diskSpaceCleanForciblyRatio: 85,
  diskSpaceWarningLevelRatio: 90,
  cleanResourceIntervalMillis: 10_000,
  deleteCommitLogFilesIntervalMillis: 100,
  deleteFileBatchMax: 10,
};

const INT_MAX = 2 ** 31 - 1;

/** Smallest and largest allowed value of each number. */
const BOUNDS = {
  fileReservedTimeHours: [0, INT_MAX],
  diskMaxUsedSpaceRatio: [10, 95],
  diskSpaceCleanForciblyRatio: [30, 85],
  diskSpaceWarningLevelRatio: [35, 90],
  cleanResourceIntervalMillis: [1, INT_MAX],
  deleteCommitLogFilesIntervalMillis: [0, INT_MAX],
  deleteFileBatchMax: [1, INT_MAX],
} as const satisfies Partial<Record<keyof RetentionSettings, readonly [number, number]>>;

export function checkedRetention(options: RetentionOptions): RetentionSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const settings: RetentionSettings = { ...RETENTION_DEFAULTS, ...Object.fromEntries(given) };
  for (const [name, [least, most]] of Object.entries(BOUNDS) as [keyof typeof BOUNDS, readonly [number, number]][]) {
    const value = settings[name];
    if (Number.isSafeInteger(value) && value >= least && value <= most) continue;
    throw new OptionsError(`${name} is ${value}: it must be a whole number from ${least} to ${most}`, { name, value });
  }
  deleteHoursOf(settings.deleteWhen);
  return settings;
}

/** The hours that `deleteWhen` names. */
export function deleteHoursOf(deleteWhen: string): ReadonlySet<number> {
  const parts = deleteWhen.split(';').map((part) => part.trim());
  const hours = parts.filter((part) => part !== '');
  const bad = hours.find((hour) => !/^\d{1,2}$/.test(hour) || Number(hour) > 23);
  if (bad === undefined) return new Set(hours.map(Number));
  const message = `deleteWhen is ${JSON.stringify(deleteWhen)}: it must be hours from 00 to 23, separated by ;`;
  throw new OptionsError(message, { name: 'deleteWhen', value: deleteWhen });
}
