/** What the commands on a store directory share: it must hold a store, and nobody may be writing it. */
import { FoldlogError } from '../../base/errors.js';
import { joinPath } from '../../base/files.js';
import { readBrokerConfig } from '../../config/brokerConfig.js';
import { parseDelayLevels } from '../../config/delayLevels.js';
import type { StoreSizes } from '../../store/offline/storeLayout.js';
import type { CommandCall } from '../command.js';
import { readConfigFile } from '../configFile.js';
import { RunFiles } from '../runFiles.js';

export interface StoreDirectory {
  directory: string;
  /** As the store was configured; needed to find the entries of an index file. */
  maxHashSlotNum: number;
  /** What a configuration file says; without one the store itself tells, as far as it can. */
  given: { sizes: Partial<StoreSizes>; delayLevels?: readonly number[] };
}

/** Throws when the directory of the first argument holds no store, or a broker runs from it. */
export function storeDirectoryOf({ args, options, terminal }: CommandCall): StoreDirectory {
  const [directory = ''] = args;
  const { files } = terminal;
  if (!files.stat(joinPath(directory, 'commitlog'))?.isDirectory) {
    throw new FoldlogError('OPTIONS_INVALID', `${directory} holds no store: there is no directory commitlog in it`);
  }
  const found = new RunFiles({ home: directory, files }).find('broker');
  if (found.status === 'RUNS') {
    const message = `a broker (process ${found.running.pid}) runs from ${directory}: stop it first, what it writes would be taken for damage`;
    throw new FoldlogError('STORE_LOCKED', message, { directory });
  }
  const { config } = readBrokerConfig(readConfigFile(options['config'], terminal), {}, '127.0.0.1');
  const { mappedFileSizeCommitLog, mappedFileSizeConsumeQueue, maxHashSlotNum, maxIndexNum } = config;
  if (options['config'] === undefined) return { directory, maxHashSlotNum, given: { sizes: {} } };
  const sizes = { mappedFileSizeCommitLog, mappedFileSizeConsumeQueue, maxHashSlotNum, maxIndexNum };
  const delayLevels = parseDelayLevels(config.messageDelayLevel);
  return { directory, maxHashSlotNum, given: { sizes, ...(delayLevels ? { delayLevels } : {}) } };
}
