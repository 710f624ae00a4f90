/**
 * The broker's configuration while it runs. Keys that are read at each use take effect when they are changed; all others
 * when the broker is started anew, from the configuration file: with one, a change is written there before it counts
 * (comments and order stay, the file before it is kept as `.bak`); without one, it is gone with the process. The file is
 * held to the rules of the next start, so that a change cannot keep the broker from starting. Upstream: `Configuration`.
 */
import { BrokerError, isFoldlogError, messageOf } from '../base/errors.js';
import type { Files } from '../base/files.js';
import { parentOf } from '../base/files.js';
import type { Logger } from '../base/logger.js';
import type { BrokerConfig } from '../config/brokerConfig.js';
import { BROKER_TABLE, readBrokerConfig } from '../config/brokerConfig.js';
import { checkChanges, readChanges } from '../config/changes.js';
import { replaceProperties } from '../config/properties.js';
import { printConfig } from '../config/readConfig.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';

/** Refused whatever `configBlackList` says. */
const ALWAYS_REFUSED = ['brokerConfigPath', 'configBlackList', 'rocketmqHome'];

/** Keys that the broker's parts read from the configuration at each use. */
export const LIVE_KEYS = [
  'autoCreateSubscriptionGroup',
  'autoCreateTopicEnable',
  'brokerPermission',
  'enablePropertyFilter',
  'filterSupportRetry',
  'litePullMessageEnable',
  'longPollingEnable',
  'maxTransferBytesOnMessageInDisk',
  'maxTransferBytesOnMessageInMemory',
  'maxTransferCountOnMessageInDisk',
  'maxTransferCountOnMessageInMemory',
  'notifyConsumerIdsChangedEnable',
  'recallMessageEnable',
  'rejectPullConsumerEnable',
  'shortPollingTimeMills',
  'storeReplyMessageEnable',
  'useServerSideResetOffset',
] as const satisfies readonly (keyof BrokerConfig)[];

export interface BrokerSettingsParts {
  /** What the parts of the broker read; changed here. */
  config: BrokerConfig;
  /** The file that it was read from, if any. */
  configFile: string | undefined;
  files: Files;
  logger: Logger;
}

export class BrokerSettings {
  readonly #config: BrokerConfig;
  readonly #configFile: string | undefined;
  readonly #files: Files;
  readonly #logger: Logger;
  /** With the changes that wait for the next start. */
  #values: BrokerConfig;

  constructor({ config, configFile, files, logger }: BrokerSettingsParts) {
    this.#config = config;
    this.#configFile = configFile;
    this.#files = files;
    this.#logger = logger;
    this.#values = { ...config };
  }

  /** All keys as properties text, sorted. */
  print(): string {
    return printConfig(this.#values);
  }

  /**
   * Takes all changes of a properties text or none. Unknown keys are passed over with a log line, as RocketMQ does.
   * Throws BrokerError for keys that must not be changed and values that are not allowed. Returns the keys that changed.
   */
  update(text: string): ReadonlySet<string> {
    const refused = new Set([...ALWAYS_REFUSED, ...this.#values.configBlackList.split(';')]);
    const all = readChanges(text);
    if (all.some(({ key }) => refused.has(key))) {
      throw refusal(RESPONSE_CODE.NO_PERMISSION, 'Can not update config in black list.');
    }
    const changes = all.filter(({ key }) => Object.hasOwn(BROKER_TABLE, key));
    for (const { key } of all) {
      if (!Object.hasOwn(BROKER_TABLE, key))
        this.#logger.warn({ key }, 'a configuration key is not known: passed over');
    }
    const values = checked(() => checkChanges(BROKER_TABLE, changes));
    const keys = new Set(Object.keys(values));
    if (keys.size === 0) return keys;
    if (this.#configFile !== undefined) {
      this.#rewrite(this.#configFile, new Map(Object.entries(values).map(([key, value]) => [key, String(value)])));
    }
    this.#values = { ...this.#values, ...values };
    for (const key of LIVE_KEYS) if (keys.has(key)) take(this.#config, values, key);
    const waiting = [...keys].filter((key) => !(LIVE_KEYS as readonly string[]).includes(key));
    this.#logger.info({ keys: [...keys], waiting }, 'configuration changed; waiting keys count from the next start on');
    return keys;
  }

  #rewrite(file: string, values: ReadonlyMap<string, string>): void {
    const files = this.#files;
    const text = replaceProperties(files.readFile(file).toString(), values);
    // Whatever the machine's address is: only the text is judged.
    checked(() => readBrokerConfig({ file, text }, {}, '127.0.0.1'));
    files.writeFile(`${file}.tmp`, text);
    files.writeFile(`${file}.bak`, files.readFile(file));
    files.rename(`${file}.tmp`, file);
    files.syncDirectory(parentOf(file));
  }
}

function take<Key extends keyof BrokerConfig>(config: BrokerConfig, values: Partial<BrokerConfig>, key: Key): void {
  const value = values[key];
  if (value !== undefined) config[key] = value;
}

/** What configuration throws, as an answer of one line. */
function checked<Value>(check: () => Value): Value {
  try {
    return check();
  } catch (thrown) {
    if (!isFoldlogError(thrown) || thrown.code !== 'OPTIONS_INVALID') throw thrown;
    throw refusal(RESPONSE_CODE.INVALID_PARAMETER, messageOf(thrown));
  }
}

const refusal = (code: number, remark: string) => new BrokerError(code, remark, remark);
