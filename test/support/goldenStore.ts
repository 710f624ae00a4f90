/** Rebuilds a store directory that Apache RocketMQ wrote (test/golden/store), and says what is in it. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const GOLDEN = path.join(import.meta.dirname, '../golden/store');

interface GoldenFile {
  fullSize: number;
  sparse?: boolean;
  emptyDir?: boolean;
}

interface GoldenStore {
  nonDefaultConfig: Record<string, number | string | boolean>;
  files: Record<string, GoldenFile>;
  recordCount: number;
  blankCount: number;
  logicalEnd: number;
  abortPresent: boolean;
}

export interface ExpectedRecord {
  type: 'message' | 'blank';
  at: number;
  totalSize: number;
  magic: string;
  bodyCrc: number;
  queueId: number;
  flag: number;
  queueOffset: number;
  physicalOffset: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: string;
  storeTimestamp: number;
  storeHost: string;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  bodyLength: number;
  topic: string;
  properties: Record<string, string>;
  bodyText?: string;
}

export interface ExpectedStore {
  records: ExpectedRecord[];
  parseEndPerFile: Record<string, number>;
  consumeQueues: Record<string, Record<string, number>[]>;
  indexes: Record<string, Record<string, number> & { entries: Record<string, number>[] }>;
  checkpoint: Record<string, number>;
}

const readJson = (...parts: string[]) => JSON.parse(fs.readFileSync(path.join(GOLDEN, ...parts), 'utf8'));

export const goldenStores = (): Record<string, GoldenStore> => readJson('manifest.json').stores;

export const expectedOf = (name: string): ExpectedStore => readJson(name, 'expected.json');

/** Sizes that the store was written with, as the store's options call them. */
export function sizesOf(name: string): {
  mappedFileSizeCommitLog?: number;
  mappedFileSizeConsumeQueue?: number;
  maxHashSlotNum?: number;
  maxIndexNum?: number;
} {
  const config = goldenStores()[name]!.nonDefaultConfig;
  const keys = ['mappedFileSizeCommitLog', 'mappedFileSizeConsumeQueue', 'maxHashSlotNum', 'maxIndexNum'];
  return Object.fromEntries(keys.filter((key) => key in config).map((key) => [key, config[key]]));
}

/** Writes the directory into a fresh temporary one and returns its path. */
export function expandStore(name: string): string {
  const target = fs.mkdtempSync(path.join(os.tmpdir(), `foldlog-golden-${name}-`));
  for (const [relative, info] of Object.entries(goldenStores()[name]!.files)) {
    const to = path.join(target, relative);
    const from = path.join(GOLDEN, name, 'store', relative);
    if (info.emptyDir) {
      fs.mkdirSync(to, { recursive: true });
      continue;
    }
    fs.mkdirSync(path.dirname(to), { recursive: true });
    if (!info.sparse) {
      fs.copyFileSync(from, to);
      continue;
    }
    const { fullSize, segments } = JSON.parse(fs.readFileSync(`${from}.sparse.json`, 'utf8'));
    const descriptor = fs.openSync(to, 'w');
    fs.ftruncateSync(descriptor, fullSize);
    for (const { offset, hex } of segments) {
      const bytes = Buffer.from(hex, 'hex');
      fs.writeSync(descriptor, bytes, 0, bytes.length, offset);
    }
    fs.closeSync(descriptor);
  }
  return target;
}

/** Path, size and modification time of every file below a directory: equal means untouched. */
export function fingerprint(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      const stat = fs.statSync(file, { bigint: true });
      return `${path.relative(directory, file)} ${stat.size} ${stat.mtimeNs}`;
    })
    .sort();
}
