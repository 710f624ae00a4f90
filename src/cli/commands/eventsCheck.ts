/**
 * `foldlog events check --app FILE`: reads every event of the event topics as the application would, and says what does
 * not decode, upcast and validate any more. Exit code 1 when there is anything, so that a build can ask before a change
 * of event classes is released.
 */
import Table from 'cli-table3';
import { type CheckedEvents, checkEvents, findEventTopics } from '../../replay/eventsCheck.js';
import { withAppLog } from '../appFile.js';
import type { CommandCall } from '../command.js';
import { EXIT } from '../errorLine.js';
import { progressBar } from '../progressBar.js';
import type { Terminal } from '../terminal.js';

export function run(call: CommandCall): Promise<number> {
  const { options, terminal, logger } = call;
  const allowed = new Set(listOption(options['allowUnknown']));
  return withAppLog(call, async ({ codec, link: { session } }) => {
    const named = listOption(options['topic']);
    const topics = named.length > 0 ? named : await findEventTopics(session);
    const onProgress = progressBar(terminal, 'events checked');
    let kinds: CheckedEvents[];
    try {
      kinds = await checkEvents({
        ...{ session, codec, topics, clock: terminal.clock, logger },
        ...(onProgress ? { onProgress } : {}),
      });
    } finally {
      terminal.progress?.('');
    }
    const bad = kinds.filter((kind) => isBad(kind, allowed));
    if (options['json'] === true) terminal.out(JSON.stringify(reportOf(topics, kinds, bad)));
    else describe(terminal, topics, kinds, bad);
    return bad.length === 0 ? EXIT.DONE : EXIT.FAILED;
  });
}

function isBad(kind: CheckedEvents, allowed: ReadonlySet<string>): boolean {
  return kind.invalid > 0 || kind.lost > 0 || (kind.unknown > 0 && !allowed.has(kind.type));
}

function reportOf(topics: readonly string[], kinds: readonly CheckedEvents[], bad: readonly CheckedEvents[]): object {
  return {
    ok: bad.length === 0,
    topics,
    events: kinds.reduce((sum, { count }) => sum + count, 0),
    types: kinds.map((kind) => ({ ...kind, isBad: bad.includes(kind) })),
  };
}

function describe(
  terminal: Terminal,
  topics: readonly string[],
  kinds: readonly CheckedEvents[],
  bad: readonly CheckedEvents[],
): void {
  if (topics.length === 0) {
    terminal.out('no event topic');
    return;
  }
  if (kinds.length > 0) {
    // Without colours and borders that only a terminal shows: the table goes to files and pipes as well.
    const table = new Table({
      head: ['topic', 'type', 'version', 'read as', 'events', 'ok', 'invalid', 'unknown', 'lost'],
      colAligns: ['left', 'left', 'right', 'left', 'right', 'right', 'right', 'right', 'right'],
      chars: BORDERLESS,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    });
    for (const { topic, type, version, readAs, count, ok, invalid, unknown, lost } of kinds) {
      table.push([topic, type || '(none)', String(version), readAs ?? '-', count, ok, invalid, unknown, lost]);
    }
    for (const line of table.toString().split('\n')) terminal.out(line.trimEnd());
  }
  for (const { topic, type, version, firstBad } of kinds) {
    if (!firstBad) continue;
    const { brokerName, queueId, queueOffset, eventId, reason } = firstBad;
    terminal.out(
      `first bad ${type || '(none)'} version ${version}: event ${eventId} at offset ${queueOffset} of queue ${queueId} of ${topic} on ${brokerName}: ${reason}`,
    );
  }
  const events = kinds.reduce((sum, { count }) => sum + count, 0);
  if (bad.length === 0) {
    terminal.out(`${events} events in ${topics.join(', ')}: all can be read`);
    return;
  }
  const [invalid, unknown, lost] = (['invalid', 'unknown', 'lost'] as const).map((what) =>
    bad.reduce((sum, kind) => sum + kind[what], 0),
  );
  terminal.err(
    `foldlog: of ${events} events ${invalid} are invalid, ${unknown} of an unknown type, ${lost} lost: add an upcaster or a class (--allow-unknown TYPE accepts a type)`,
  );
}

const BORDERLESS = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '' },
};

/** Of an option that may be given several times. */
function listOption(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
