/**
 * `foldlog store dump DIR`: what lies in a store directory, one JSON object a line: records of the commit log (default),
 * entries of consume queues, entries of index files, the checkpoint, or what the timer keeps. Bodies that are not UTF-8 come in base64.
 */
import { isUtf8 } from 'node:buffer';
import {
  type DumpedRecord,
  dumpCheckpoint,
  dumpCommitLog,
  dumpConsumeQueue,
  dumpIndexEntries,
  dumpIndexFiles,
  dumpIndexHeader,
  dumpQueues,
} from '../../store/offline/dump.js';
import { dumpTimerCheckpoint, dumpTimerLog, dumpTimerWheel } from '../../store/offline/dumpTimer.js';
import type { CommandCall } from '../command.js';
import { EXIT, usageError } from '../errorLine.js';
import { type StoreDirectory, storeDirectoryOf } from './storeDirectory.js';

export async function run(call: CommandCall): Promise<number> {
  const { terminal, options } = call;
  const store = storeDirectoryOf(call);
  const part = String(options['part'] ?? 'commitlog');
  const dump = PARTS[part];
  if (!dump) throw usageError(`--part ${part}: must be one of ${Object.keys(PARTS).join(', ')}`);
  const limit = Number(options['limit'] ?? Number.POSITIVE_INFINITY);
  if (Number.isNaN(limit) || limit < 0) throw usageError(`--limit ${options['limit']}: must be a number`);
  const topic = typeof options['topic'] === 'string' ? options['topic'] : undefined;
  let count = 0;
  for (const line of dump(store, topic)) {
    if (count++ >= limit || terminal.isOutClosed) break;
    terminal.out(JSON.stringify(line));
  }
  return EXIT.DONE;
}

type Dump = (store: StoreDirectory, topic: string | undefined) => Iterable<object>;

const PARTS: Readonly<Record<string, Dump>> = {
  commitlog: function* ({ directory }, topic) {
    for (const record of dumpCommitLog(directory)) {
      if (topic === undefined || (record.kind === 'message' && record.message.topic === topic)) yield plain(record);
    }
  },
  consumequeue: function* ({ directory }, topic) {
    for (const [name, queueIds] of dumpQueues(directory)) {
      if (topic !== undefined && name !== topic) continue;
      for (const queueId of queueIds) {
        for (const entry of dumpConsumeQueue(directory, name, queueId)) yield { topic: name, queueId, ...entry };
      }
    }
  },
  index: function* ({ directory, maxHashSlotNum }) {
    for (const file of dumpIndexFiles(directory)) {
      yield { file, header: dumpIndexHeader(directory, file) };
      for (const entry of dumpIndexEntries(directory, file, { maxHashSlotNum })) yield { file, ...entry };
    }
  },
  checkpoint: function* ({ directory }) {
    yield dumpCheckpoint(directory);
  },
  timerlog: ({ directory }) => dumpTimerLog(directory),
  timerwheel: ({ directory }) => dumpTimerWheel(directory),
  timercheck: function* ({ directory }) {
    const checkpoint = dumpTimerCheckpoint(directory);
    if (checkpoint) yield checkpoint;
  },
};

function plain(record: DumpedRecord): object {
  if (record.kind !== 'message') return record;
  const { message, ...place } = record;
  const { body, ...fields } = message;
  return {
    ...place,
    ...fields,
    ...(isUtf8(body) ? { body: body.toString() } : { bodyBase64: body.toString('base64') }),
  };
}
