/** What every server of this folder is handed from outside. */
import type { Clock } from '../base/clock.js';
import type { Files } from '../base/files.js';
import type { Logger } from '../base/logger.js';

export interface ServerParts {
  /** Default: the system's. */
  clock?: Clock;
  /** Default: silent. */
  logger?: Logger;
  /** Default: the disk. */
  files?: Files;
}
