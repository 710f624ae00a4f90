/**
 * The name server's configuration while it runs: read by processors at each request, changed by UPDATE_NAMESRV_CONFIG,
 * printed by GET_NAMESRV_CONFIG. A change is written to `configStorePath` (only what differs from the defaults) before
 * it counts. Ports, addresses and periods take effect at the next start. Upstream: `Configuration`.
 */
import { BrokerError } from '../base/errors.js';
import type { Files } from '../base/files.js';
import { checkChanges, readChanges } from '../config/changes.js';
import { NAMESRV_TABLE, type NamesrvConfig } from '../config/namesrvConfig.js';
import { writeProperties } from '../config/properties.js';
import { printConfig } from '../config/readConfig.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { replaceFile } from './kvConfig.js';

/** Refused whatever `configBlackList` says. */
const ALWAYS_REFUSED = ['configBlackList', 'configStorePath', 'kvConfigPath', 'rocketmqHome'];

export class NamesrvSettings {
  readonly #files: Files;
  #values: NamesrvConfig;

  constructor({ config, files }: { config: NamesrvConfig; files: Files }) {
    this.#values = config;
    this.#files = files;
  }

  get values(): Readonly<NamesrvConfig> {
    return this.#values;
  }

  /** All keys as properties text, sorted. */
  print(): string {
    return printConfig(this.#values);
  }

  /** Takes all changes of a properties text or none. Throws BrokerError for keys that must not be changed. */
  update(text: string): void {
    const refused = new Set([...ALWAYS_REFUSED, ...this.#values.configBlackList.split(';')]);
    const changes = readChanges(text);
    if (changes.some(({ key }) => refused.has(key))) {
      const remark = 'Can not update config in black list.';
      throw new BrokerError(RESPONSE_CODE.NO_PERMISSION, remark, remark);
    }
    const values: NamesrvConfig = { ...this.#values, ...checkChanges(NAMESRV_TABLE, changes) };
    if (values.configStorePath !== '') replaceFile(this.#files, values.configStorePath, changedText(values));
    this.#values = values;
  }
}

function changedText(values: NamesrvConfig): string {
  const changed = Object.entries(NAMESRV_TABLE)
    .map(([key, row]) => [key, values[key as keyof NamesrvConfig], row.default] as const)
    .filter(([key, value, standard]) => value !== standard && !ALWAYS_REFUSED.includes(key));
  return writeProperties(changed.map(([key, value]) => [key, value]));
}
