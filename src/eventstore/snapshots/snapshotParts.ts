/** What the stores of aggregates and deciders are handed for their snapshots, whether they take any or not. */
import type { Logger } from '../../base/logger.js';
import type { SnapshotKeeper } from './snapshotKeeper.js';

export interface SnapshotParts {
  keeper: SnapshotKeeper;
  logger: Logger;
}
