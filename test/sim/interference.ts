/** What happens to a directory between two lives of the store: another program writes there, or the disk damages it. */
import { isFoldlogError } from '../../src/base/errors.js';
import { Marks, readSyncedMark } from '../../src/store/recovery/marks.js';
import { ForeignWriter } from './foreignWriter.js';
import { DIRECTORY } from './simulatedDisk.js';
import { demand } from './storeChecks.js';
import type { StoreSimulation } from './storeSimulation.js';

/** Where the body of a record begins whose hosts are IPv4. */
const BODY_AT = 88;
const CLEAN_CHANCE = 0.25;

/** True when the directory is no longer as the store left it. */
export async function interfere(run: StoreSimulation, wasClosed: boolean): Promise<boolean> {
  if (!wasClosed) {
    if (run.chance(0.25)) await damage(run);
    return false;
  }
  if (!run.chance(CLEAN_CHANCE)) return false;
  const { model, disk, sizes } = run;
  const writer = new ForeignWriter(disk.files, sizes.mappedFileSizeCommitLog, model.end);
  if (disk.files.stat(`${DIRECTORY}/commitlog`) === undefined) return false;
  const isCutting = run.chance(0.25) && replaceLast(run, writer);
  const count = run.below(4) + (isCutting ? 0 : 1);
  const before = model.records.length;
  // After a cut, the position of a deletion says nothing about records of that topic that were put in front of it.
  for (let index = 0; index < count; index += 1) {
    if (isCutting) appendOne(run, writer, 'Foreign');
    else appendOne(run, writer);
  }
  const appendedCount = model.records.length - before;
  const tail = run.chance(0.4) ? leaveTail(run, writer) : 'no tail';
  const abort = run.chance(0.5) ? '4711' : undefined;
  writer.leaveAbort(abort);
  run.note(
    `another program: ${isCutting ? 'cut, ' : ''}${appendedCount} records, ${tail}, ${abort ? 'killed' : 'stopped'}`,
  );
  run.coverage.count('other programs', `${isCutting ? 'cut the log' : 'appended'}, ${abort ? 'killed' : 'stopped'}`);
  run.coverage.count('other programs', tail);
  return isCutting || appendedCount > 0 || tail !== 'no tail' || abort !== undefined;
}

/** Takes the last record away and puts another one in its place. */
function replaceLast(run: StoreSimulation, writer: ForeignWriter): boolean {
  const { model } = run;
  const last = model.records.at(-1);
  // An append stays whole, and the other record fits.
  if (!last || last.appendCount > 1 || last.sizeBytes < 160 || last.commitLogOffset < model.start) return false;
  writer.cut(last.commitLogOffset);
  model.cutAt(last.commitLogOffset);
  // Whether a position of ours lies below the cut, nobody can know any more.
  model.voidTokensBeyond(0);
  run.isForeignEnd = true;
  appendOne(run, writer, 'Foreign', 4);
  return true;
}

function appendOne(
  run: StoreSimulation,
  writer: ForeignWriter,
  topic = run.pick(['Foreign', run.mayStoreEvents ? 'Events' : 'Foreign', 'Plain0']),
  bodyBytes = run.below(300),
): void {
  const { model } = run;
  run.serial += 1;
  const queueId = run.below(2);
  if (model.records.some((record) => record.topic === topic && record.isDeleted)) return;
  const record = writer.append({
    topic,
    queueId,
    queueOffset: model.queue(topic, queueId).length,
    body: `${run.serial}:`.padEnd(bodyBytes, 'f'),
    keys: [run.pick(['Aa', 'lone', 'all']), `f${run.below(3)}`],
    storeTimestamp: run.clock.now(),
  });
  model.push([record]);
}

/** What a torn write leaves at the end: part of a record, a record of another place, or no record at all. */
function leaveTail(run: StoreSimulation, writer: ForeignWriter): string {
  const before = writer.end;
  const last = run.model.records.findLast((record) => record.bytes !== undefined);
  const left = run.sizes.mappedFileSizeCommitLog - (before % run.sizes.mappedFileSizeCommitLog);
  if (!last?.bytes || last.sizeBytes > left) return 'no tail';
  const kind = run.pick(['torn', 'misplaced', 'odd'] as const);
  if (kind === 'torn') writer.write(last.bytes.subarray(0, 20 + run.below(last.sizeBytes - 20)));
  else if (kind === 'misplaced') writer.write(last.bytes);
  else writer.write(Buffer.from(Array.from({ length: 1 + run.below(60) }, () => 1 + run.below(255))));
  return kind;
}

/** Damage below the synced mark: the store refuses, names the place, and changes nothing. Then it is undone. */
async function damage(run: StoreSimulation): Promise<void> {
  const { disk, model } = run;
  const marks = new Marks(disk.files, DIRECTORY);
  const mark = readSyncedMark(disk.files, marks.fileOf('synced'));
  const derived = marks.read('derived');
  const hasAbort = disk.files.stat(`${DIRECTORY}/abort`) !== undefined;
  if (!mark || !hasAbort || !marks.read('generations')) return;
  const from = Math.max(model.start, Math.min(derived?.queuesPosition ?? 0, derived?.index?.position ?? 0));
  const candidates = model.records.filter(
    (record) => record.commitLogOffset >= from && record.commitLogOffset + record.sizeBytes <= mark.position,
  );
  const record = candidates[run.below(candidates.length)];
  if (!record) return;
  const healthy = disk.files;
  disk.replace(healthy.kill());
  const segmentBytes = run.sizes.mappedFileSizeCommitLog;
  const start = record.commitLogOffset - (record.commitLogOffset % segmentBytes);
  const path = `${DIRECTORY}/commitlog/${String(start).padStart(20, '0')}`;
  const isFirst = disk.files.list(`${DIRECTORY}/commitlog`)[0] === path.slice(-20);
  const isLast = disk.files.list(`${DIRECTORY}/commitlog`).at(-1) === path.slice(-20);
  const kind =
    !isFirst && !isLast && run.chance(0.5) ? 'missing segment' : run.pick(['flipped byte', 'zeros', 'wrong place']);
  if (kind === 'missing segment') disk.files.remove(path);
  else {
    const at = record.commitLogOffset - start;
    const file = disk.files.open(path, 'r+');
    const length = kind === 'zeros' ? record.sizeBytes : kind === 'wrong place' ? 8 : 1;
    const place =
      kind === 'zeros' ? at : kind === 'wrong place' ? at + 28 : at + BODY_AT + run.below(record.body.length);
    const bytes = Buffer.alloc(length);
    file.read(bytes, 0, length, place);
    for (let index = 0; index < length; index += 1) bytes[index] = kind === 'zeros' ? 0 : (bytes[index] ?? 0) ^ 0x2a;
    file.write(bytes, 0, length, place);
  }
  const before = disk.files.contents();
  run.note(`damage: ${kind} at ${record.commitLogOffset}`);
  let error: unknown;
  try {
    await run.open();
  } catch (thrown) {
    error = thrown;
  }
  const refused = isFoldlogError(error) && error.code === 'CORRUPTION';
  if (!refused) throw error ?? new Error(`a damaged store opened: ${kind}`);
  run.coverage.count('damage', kind);
  const after = disk.files.contents();
  const isSame = after.size === before.size && [...before].every(([name, bytes]) => after.get(name)?.equals(bytes));
  demand(isSame, 'a refused store is as it was');
  disk.replace(healthy.kill());
}
