/**
 * The broker's configuration: RocketMQ's broker.conf as typed values. `BROKER_KEYS` and `BROKER_ACCEPTED_KEYS` hold a
 * row per key; here stand the few rules between keys. Flags of the command line and options of a program win over the
 * file. Upstream: `BrokerStartup`, `BrokerConfig`, `MessageStoreConfig`.
 */
import { OptionsError } from '../base/errors.js';
import { BROKER_ACCEPTED_KEYS } from './brokerAcceptedKeys.js';
import { BROKER_KEYS } from './brokerKeys.js';
import { type ConfigOf, defaultsOf, text } from './configRows.js';
import { type ConfigFile, checkValues, readConfig } from './readConfig.js';

/** Every key of broker.conf that foldlog knows. */
export const BROKER_TABLE = {
  ...BROKER_KEYS,
  storePathCommitLog: text('', 'directory of the commit log: always commitlog under storePathRootDir'),
  ...BROKER_ACCEPTED_KEYS,
} as const;

export type BrokerConfig = ConfigOf<typeof BROKER_TABLE>;

export interface BrokerConfigReading {
  config: BrokerConfig;
  /** Keys that the file or `overrides` set. */
  given: ReadonlySet<string>;
  /** One line each, for the log: keys without effect, values that were corrected. */
  warnings: string[];
}

const CONSUME_QUEUE_UNIT_BYTES = 20;
/** As upstream bounds them where they are used. */
const RATIO_BOUNDS = {
  diskMaxUsedSpaceRatio: [10, 95],
  diskSpaceCleanForciblyRatio: [30, 85],
  diskSpaceWarningLevelRatio: [35, 90],
} as const;
const ANY_ADDRESS = new Set(['0.0.0.0', '::']);

/**
 * The defaults with `overrides`, checked like a file. Without `brokerIP1` the bind address is announced, or
 * `localAddress` when the broker listens on all addresses.
 */
export function defaultBrokerConfig(overrides: Partial<BrokerConfig> = {}, localAddress?: string): BrokerConfig {
  checkValues(BROKER_TABLE, overrides);
  const given = new Set(Object.keys(overrides));
  return settle({ ...defaultsOf(BROKER_TABLE), ...defined(overrides) }, given, [], localAddress);
}

/** Reads a broker.conf; `overrides` (command line flags) win over it. Throws OptionsError naming file and line. */
export function readBrokerConfig(
  source: ConfigFile | undefined,
  overrides: Partial<BrokerConfig> = {},
  localAddress?: string,
): BrokerConfigReading {
  const { config, given, warnings } = readConfig(BROKER_TABLE, source);
  checkValues(BROKER_TABLE, overrides);
  const all = new Set([...given, ...Object.keys(overrides)]);
  return { config: settle({ ...config, ...defined(overrides) }, all, warnings, localAddress), given: all, warnings };
}

function settle(
  config: BrokerConfig,
  given: ReadonlySet<string>,
  warnings: string[],
  localAddress: string | undefined,
): BrokerConfig {
  const commitLog = `${config.storePathRootDir.replace(/\/+$/, '')}/commitlog`;
  if (config.storePathCommitLog !== '' && config.storePathCommitLog.replace(/\/+$/, '') !== commitLog) {
    throw new OptionsError(
      `storePathCommitLog=${config.storePathCommitLog} is refused: the commit log lies in commitlog under the store; leave the key out or set it to ${commitLog}`,
      { key: 'storePathCommitLog' },
    );
  }
  if (config.brokerId !== 0) {
    warnings.push(`brokerId=${config.brokerId} is taken as 0: a broker with role ${config.brokerRole} is a master`);
  }
  const ratios = boundedRatios(config, warnings);
  const announced = given.has('brokerIP1') ? config.brokerIP1 : announcedAddress(config.bindAddress, localAddress);
  return {
    ...config,
    ...ratios,
    storePathCommitLog: commitLog,
    brokerId: 0,
    brokerIP1: announced,
    brokerIP2: given.has('brokerIP2') ? config.brokerIP2 : announced,
    // As at Apache's broker the replication port follows the broker's own.
    haListenPort: given.has('haListenPort') ? config.haListenPort : Math.min(65_535, config.listenPort + 1),
    mappedFileSizeConsumeQueue:
      Math.ceil(config.mappedFileSizeConsumeQueue / CONSUME_QUEUE_UNIT_BYTES) * CONSUME_QUEUE_UNIT_BYTES,
    registerNameServerPeriod: Math.min(60_000, Math.max(10_000, config.registerNameServerPeriod)),
  };
}

function boundedRatios(config: BrokerConfig, warnings: string[]): Record<keyof typeof RATIO_BOUNDS, number> {
  const bounded = (key: keyof typeof RATIO_BOUNDS) => {
    const [least, most] = RATIO_BOUNDS[key];
    const value = Math.min(most, Math.max(least, config[key]));
    if (value !== config[key]) {
      warnings.push(`${key}=${config[key]} is taken as ${value}: it is kept within ${least} to ${most}`);
    }
    return value;
  };
  return {
    diskMaxUsedSpaceRatio: bounded('diskMaxUsedSpaceRatio'),
    diskSpaceCleanForciblyRatio: bounded('diskSpaceCleanForciblyRatio'),
    diskSpaceWarningLevelRatio: bounded('diskSpaceWarningLevelRatio'),
  };
}

function announcedAddress(bindAddress: string, localAddress: string | undefined): string {
  if (!ANY_ADDRESS.has(bindAddress)) return bindAddress;
  if (localAddress !== undefined) return localAddress;
  throw new OptionsError(
    `bindAddress=${bindAddress} listens on all addresses: set brokerIP1 to the one that clients use`,
  );
}

function defined<Values extends object>(values: Partial<Values>): Partial<Values> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Values>;
}
