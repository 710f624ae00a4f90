/** What lives of the store in kill.test.ts acknowledge, as lines of text, and how each is found again. */
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import type { MessageStore } from '../../src/store/index.js';

export const PLAIN = 'Plain';
export const EVENTS = 'Events';
export const QUEUES = 4;
/** The stream that all lives append to. */
export const SHARED_STREAM = 'shared';

export interface Acknowledgement {
  kind: 'plain' | 'guarded' | 'shared';
  life: number;
  index: number;
  commitLogOffset: number;
  queueId: number;
  queueOffset: number;
  /** 0 for a message that is no event. */
  version: number;
}

const NUMBERS = ['life', 'index', 'commitLogOffset', 'queueId', 'queueOffset', 'version'] as const;

export function printed(one: Acknowledgement): string {
  return `ack ${one.kind} ${NUMBERS.map((name) => one[name]).join(' ')}`;
}

/** Whole lines only: what was printed while the process died may lack its end. */
export function parseAcknowledgements(text: string): Acknowledgement[] {
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line.startsWith('ack ')).map(parse);
}

function parse(line: string): Acknowledgement {
  const [, kind = '', ...numbers] = line.split(' ');
  const fields = Object.fromEntries(NUMBERS.map((name, at) => [name, Number(numbers[at])]));
  return { kind, ...fields } as unknown as Acknowledgement;
}

/** Follows from life and index, so that nobody has to remember it; up to 1,500 bytes. */
export function bodyOf(life: number, index: number): string {
  const sizeBytes = (life * 7919 + index * 104_729) % 1500;
  return `${life}/${index}:`.padEnd(sizeBytes, String.fromCharCode(97 + (index % 26)));
}

export const appendIdOf = (life: number, index: number): string => `append-${life}-${index}`;

/** By its position and by its queue, with its content. */
export function checkAcknowledged(store: MessageStore, one: Acknowledgement): void {
  const { kind, life, index, commitLogOffset, queueId, queueOffset, version } = one;
  const topic = kind === 'plain' ? PLAIN : EVENTS;
  const lost = (why: string) => new Error(`${printed(one)} is not there: ${why}`);
  const bytes = store.readRecord(commitLogOffset);
  if (!bytes) throw lost('no record at its position');
  const record = decodeRecord(bytes);
  const found = [record.topic, record.queueId, record.queueOffset, record.body.toString()];
  const wanted = [topic, queueId, queueOffset, bodyOf(life, index)];
  if (JSON.stringify(found) !== JSON.stringify(wanted)) throw lost(`found ${JSON.stringify(found).slice(0, 200)}`);
  if (Number(record.properties['FL_VERSION'] ?? 0) !== version)
    throw lost(`version ${record.properties['FL_VERSION']}`);
  const [queued] = store.readQueue(topic, queueId, queueOffset, 1, 1 << 20).records;
  if (!queued?.equals(bytes)) throw lost('its queue holds another record, or none');
}
