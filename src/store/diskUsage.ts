/**
 * How full the disk is that holds the store, and what follows (upstream: `DefaultMessageStore#isSpaceToDelete`,
 * `UtilAll#getDiskPartitionSpaceUsedPercent`). Usage is used space against all that this user can have, in percent,
 * rounded up, and each limit is met when usage is above it:
 *
 *     diskMaxUsedSpaceRatio        75    expired files are removed at any hour
 *     diskSpaceCleanForciblyRatio  85    files are removed before they expire, if cleanFileForciblyEnable
 *     diskSpaceWarningLevelRatio   90    writes are refused, until usage is back at the limit before
 */
import { messageOf } from '../base/errors.js';
import type { Files } from '../base/files.js';
import type { Logger } from '../base/logger.js';
import type { Writability } from './log/writability.js';
import type { RetentionSettings } from './retentionOptions.js';

/** In order of need. UNKNOWN: the file system does not tell, and nothing is concluded. */
export type DiskNeed = 'UNKNOWN' | 'NONE' | 'EXPIRED_ONES' | 'ANY';

export class DiskUsage {
  readonly #files: Files;
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #writability: Writability;
  readonly #settings: RetentionSettings;
  #isUnknown = false;

  constructor(parts: {
    files: Files;
    directory: string;
    logger: Logger;
    writability: Writability;
    settings: RetentionSettings;
  }) {
    this.#files = parts.files;
    this.#directory = parts.directory;
    this.#logger = parts.logger;
    this.#writability = parts.writability;
    this.#settings = parts.settings;
  }

  /** Measures, closes the store for writing or opens it again, and says what is to be removed. */
  look(): { need: DiskNeed; usedPercent: number } {
    const usedPercent = this.#measure();
    if (usedPercent === undefined) return { need: 'UNKNOWN', usedPercent: 0 };
    const { diskMaxUsedSpaceRatio, diskSpaceCleanForciblyRatio, cleanFileForciblyEnable } = this.#settings;
    this.#judge(usedPercent);
    if (usedPercent > diskSpaceCleanForciblyRatio && cleanFileForciblyEnable) return { need: 'ANY', usedPercent };
    const isPressed = usedPercent > Math.min(diskMaxUsedSpaceRatio, diskSpaceCleanForciblyRatio);
    return { need: isPressed ? 'EXPIRED_ONES' : 'NONE', usedPercent };
  }

  /** Between the two limits nothing changes, so that a store at the limit does not open and close all the time. */
  #judge(usedPercent: number): void {
    const { diskSpaceCleanForciblyRatio, diskSpaceWarningLevelRatio: closeAbove } = this.#settings;
    const openAt = Math.min(diskSpaceCleanForciblyRatio, closeAbove);
    const isRefusing = this.#writability.nearlyFull !== undefined;
    const facts = { directory: this.#directory, usedPercent };
    if (usedPercent > closeAbove || (isRefusing && usedPercent > openAt)) {
      this.#writability.setNearlyFull(
        `the broker's disk is ${usedPercent} % full: writes are refused above ${closeAbove} % ` +
          `and taken again at ${openAt} %, make room`,
      );
      if (!isRefusing) this.#logger.error(facts, `the disk is more than ${closeAbove} % full: writes are refused`);
    } else if (isRefusing) {
      this.#writability.setNearlyFull(undefined);
      this.#logger.info(facts, 'the disk has room again: writes are taken');
    }
  }

  #measure(): number | undefined {
    try {
      const { totalBytes, availableBytes } = this.#files.space(this.#directory);
      this.#isUnknown = false;
      return totalBytes > 0 ? Math.ceil(((totalBytes - availableBytes) * 100) / totalBytes) : 0;
    } catch (error) {
      const facts = { directory: this.#directory, reason: messageOf(error) };
      if (!this.#isUnknown) this.#logger.warn(facts, 'the file system does not tell how full the disk is');
      this.#isUnknown = true;
      return undefined;
    }
  }
}
