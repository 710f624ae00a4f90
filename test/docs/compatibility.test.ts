/**
 * docs/compatibility.md says what of RocketMQ is here; it is compared with the tables of the code, both ways. A line
 * that is missing or wrong is named by what has to stand in the page.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ABSENT_ADMIN_COMMANDS, ADMIN_COMMANDS } from '../../src/cli/adminTable.js';
import { clientProcessors } from '../../src/client/serverRequests.js';
import { BROKER_TABLE } from '../../src/config/brokerConfig.js';
import type { ConfigRow, ConfigTable } from '../../src/config/configRows.js';
import { NAMESRV_TABLE } from '../../src/config/namesrvConfig.js';
import { startNameServer } from '../../src/embedded/startNameServer.js';
import { REQUEST_CODE, type RequestCodeName } from '../../src/protocol/requestCodes.js';
import { startTestBroker } from '../support/testBroker.js';

const root = path.resolve(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'docs/compatibility.md'), 'utf8');

const SERVERS = ['broker', 'name server', 'client'] as const;
type Server = (typeof SERVERS)[number];

/** The cells of the table with this first title below a heading, without titles and rule. */
function tableBelow(heading: string, title: string, part = page): string[][] {
  const below = part.slice(part.indexOf(`\n${heading}\n`));
  const lines = below.slice(below.indexOf(`\n| ${title} |`) + 1).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(2, end < 0 ? undefined : end).map((line) =>
    line
      .slice(1, line.lastIndexOf('|'))
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  );
}

const plain = (cell: string | undefined): string => (cell ?? '').replaceAll('`', '');

const testFiles = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((file) => `test/${file}`)
  .filter((file) => file.endsWith('.test.ts') && !/^test\/(docs|interop)\//.test(file))
  .sort();
const texts = new Map<string, string>();
const textOf = (file: string): string => {
  const known = texts.get(file) ?? readFileSync(path.join(root, file), 'utf8');
  texts.set(file, known);
  return known;
};

const mentions = (file: string, word: string) => new RegExp(`\\b${word}\\b`).test(textOf(file));

/** What is wrong with a proof; undefined when nothing is. */
function defectOf(proof: string, word: string): string | undefined {
  const file = plain(proof);
  const fit = testFiles.filter((each) => mentions(each, word));
  const wanted = fit.length > 0 ? `one of ${fit.join(', ')}` : `a test that mentions ${word}, to be written`;
  if (file === '') return `no test is named: ${wanted}`;
  if (!existsSync(path.join(root, file))) return `${file} does not exist: ${wanted}`;
  return mentions(file, word) ? undefined : `${file} does not mention ${word}: ${wanted}`;
}

describe('requests', () => {
  const codesOf = new Map<Server, readonly number[]>();
  const rows = tableBelow('## Requests', 'code');

  beforeAll(async () => {
    const nameServer = await startNameServer({ listen: false });
    codesOf.set('name server', nameServer.table.codes);
    await nameServer.stop();
    codesOf.set('client', clientCodes());
  });

  it('have one row each in the page, with the name of the table', () => {
    const wanted = Object.entries(REQUEST_CODE).map(([name, code]) => `${code} ${name}`);
    const found = rows.map(([code, name]) => `${code} ${name}`);
    expect({
      missing: wanted.filter((row) => !found.includes(row)),
      unknown: found.filter((row) => !wanted.includes(row)),
    }).toEqual({ missing: [], unknown: [] });
    expect(found.length).toBe(new Set(found).size);
    expect(found.map((row) => Number.parseInt(row, 10))).toEqual(
      Object.values(REQUEST_CODE).sort((left, right) => left - right),
    );
  });

  it('are answered by whom the page says', async () => {
    const { broker } = await startTestBroker();
    codesOf.set('broker', broker.table.codes);
    const wrong: string[] = [];
    for (const [code = '', name = '', who = '', answer = '', proof = ''] of rows) {
      const answering = SERVERS.filter((server) => codesOf.get(server)?.includes(Number(code)));
      const isNo = answer.startsWith('no: ');
      if (answering.length > 0 && (isNo || who !== answering.join(', '))) {
        const suggested = `\`${suggestedTest(name as RequestCodeName)}\``;
        wrong.push(
          `${code} is answered; write: | ${code} | ${name} | ${answering.join(', ')} | ${isNo ? 'yes' : answer} | ${isNo ? suggested : proof} |`,
        );
      }
      if (answering.length === 0 && !isNo) {
        wrong.push(`${code} is not answered; write: | ${code} | ${name} | ${who} | no: WHY | |`);
      }
      if (isNo && (proof !== '' || who.split(', ').some((one) => !SERVERS.includes(one as Server)))) {
        wrong.push(`${code}: a "no" names who would answer and has no proof`);
      }
      if (!/^(yes|partly: \S.+|no: \S.+)$/.test(answer))
        wrong.push(`${code}: ${answer} is not yes, partly: … or no: …`);
    }
    expect(wrong).toEqual([]);
  });

  it('have a proof that exists and mentions them', () => {
    const wrong = rows
      .filter(([, , , answer = '']) => !answer.startsWith('no: '))
      .flatMap(([code = '', name = '', , , proof = '']) => {
        const defect = defectOf(proof, name);
        return defect === undefined ? [] : [`${code} ${name}: ${defect}`];
      });
    expect(wrong).toEqual([]);
  });

  it('that stand in no table of ours are answered by nobody', async () => {
    const { broker } = await startTestBroker();
    const answered = new Set([...broker.table.codes, ...(codesOf.get('name server') ?? []), ...clientCodes()]);
    const ranges = tableBelow('## Requests', 'codes').flatMap(([codes = '']) => codes.split(','));
    const codes = ranges.flatMap((range) => {
      const [first = 0, last = first] = range.split('–').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
    expect(codes.length).toBeGreaterThan(20);
    expect(codes.filter((code) => answered.has(code))).toEqual([]);
    expect(codes.filter((code) => (Object.values(REQUEST_CODE) as number[]).includes(code))).toEqual([]);
  });
});

function clientCodes(): number[] {
  // Rows are made before anybody is asked for anything.
  return clientProcessors({} as Parameters<typeof clientProcessors>[0]).map(({ code }) => code);
}

function suggestedTest(name: RequestCodeName): string {
  const fit = testFiles.filter((file) => mentions(file, name));
  return fit.find((file) => file.includes('/processors/')) ?? fit[0] ?? 'test/…';
}

const UNITS = ['–', 'count', 'ms', 's', 'h', 'hours of the day', 'bytes', 'characters', '%', 'timerPrecisionMs'];

describe.each<[string, ConfigTable]>([
  ['broker.conf', BROKER_TABLE],
  ['namesrv.conf', NAMESRV_TABLE],
])('keys of %s', (file, table) => {
  const section = (title: string, first: string) => {
    const start = page.indexOf(`\n## ${file}\n`);
    const end = page.indexOf('\n## ', start + 1);
    const part = page.slice(start, end);
    return part.includes(`\n### ${title}\n`) ? tableBelow(`### ${title}`, first, part) : [];
  };
  const shown = (value: unknown) => (value === '' ? '(empty)' : `\`${String(value)}\``);
  const isRefused = (row: ConfigRow) => row.allowed === 'false';
  const keysWhere = (isMeant: (row: ConfigRow) => boolean) =>
    Object.keys(table).filter((key) => isMeant(table[key] as ConfigRow));

  /** Missing, unknown and repeated keys, named by the line that has to stand there. */
  const compare = (keys: readonly string[], rows: readonly string[][], lineOf: (key: string) => string) => {
    const found = rows.map(([key]) => plain(key));
    return [
      ...keys.filter((key) => !found.includes(key)).map((key) => `add: ${lineOf(key)}`),
      ...found.filter((key) => !keys.includes(key)).map((key) => `remove the line of ${key}`),
      ...found.filter((key, index) => found.indexOf(key) !== index).map((key) => `${key} stands twice`),
    ];
  };

  it('that take effect: meaning, default, unit and proof', () => {
    const rows = section('Keys that take effect', 'key');
    const keys = keysWhere((row) => row.honoured === 'yes' && !isRefused(row));
    const lineOf = (key: string) =>
      `| \`${key}\` | ${table[key]?.meaning} | ${shown(table[key]?.default)} | UNIT | \`TEST\` |`;
    const wrong = compare(keys, rows, lineOf);
    for (const [cell, meaning, standard, unit = '', proof = ''] of rows) {
      const key = plain(cell);
      const row = table[key];
      if (!row) continue;
      if (meaning !== row.meaning) wrong.push(`${key}: what it sets is: ${row.meaning}`);
      if (standard !== shown(row.default)) wrong.push(`${key}: the default is ${shown(row.default)}`);
      if (!UNITS.includes(unit)) wrong.push(`${key}: ${unit} is no unit: ${UNITS.join(', ')}`);
      const said = /, (ms|s|bytes)\b/.exec(row.meaning)?.[1];
      if (said !== undefined && unit !== said) wrong.push(`${key}: the unit is ${said}`);
      const defect = defectOf(proof, key);
      if (defect !== undefined) wrong.push(`${key}: ${defect}`);
    }
    expect(wrong).toEqual([]);
  });

  it('that are refused: default, reason and proof', () => {
    const rows = section('Keys that are refused', 'key');
    const reasonOf = (key: string) => table[key]?.refusal?.(true) ?? '';
    const wrong = compare(
      keysWhere(isRefused),
      rows,
      (key) => `| \`${key}\` | \`false\` | ${reasonOf(key)} | \`TEST\` |`,
    );
    for (const [cell, standard, reason, proof = ''] of rows) {
      const key = plain(cell);
      if (standard !== '`false`' || reason !== reasonOf(key)) wrong.push(`${key}: \`false\`, ${reasonOf(key)}`);
      const defect = defectOf(proof, key);
      if (defect !== undefined) wrong.push(`${key}: ${defect}`);
    }
    expect(wrong).toEqual([]);
  });

  it('that have no effect: default and reason', () => {
    const rows = section('Keys without effect', 'key');
    const keys = keysWhere((row) => row.honoured === 'accepted');
    const lineOf = (key: string) => `| \`${key}\` | ${shown(table[key]?.default)} | ${table[key]?.meaning} |`;
    const wrong = compare(keys, rows, lineOf);
    for (const [cell, standard, reason] of rows) {
      const key = plain(cell);
      if (table[key] && (standard !== shown(table[key].default) || reason !== table[key].meaning)) {
        wrong.push(`change: ${lineOf(key)}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('commands of mqadmin', () => {
  const rows = tableBelow('## Commands of mqadmin', 'command');

  it('stand in the page as they stand in the table, with the reason where one is absent', () => {
    const found = new Map(rows.map(([name = '', here = '']) => [name, here]));
    expect(found.size).toBe(rows.length);
    const wrong: string[] = [];
    for (const { name } of ADMIN_COMMANDS) {
      const here = found.get(name);
      if (here === undefined || !/^(yes|partly: \S.+)$/.test(here)) wrong.push(`write: | ${name} | yes | \`TEST\` |`);
    }
    for (const [name, reason] of ABSENT_ADMIN_COMMANDS) {
      if (found.get(name) !== `no: ${reason}`) wrong.push(`write: | ${name} | no: ${reason} | |`);
    }
    const known = new Set([...ADMIN_COMMANDS.map(({ name }) => name), ...ABSENT_ADMIN_COMMANDS.keys()]);
    for (const name of found.keys()) if (!known.has(name)) wrong.push(`remove the line of ${name}`);
    expect(wrong).toEqual([]);
  });

  it('have a proof that exists and runs them', () => {
    const wrong = rows
      .filter(([, here = '']) => !here.startsWith('no: '))
      .flatMap(([name = '', , proof = '']) => {
        const defect = defectOf(proof, name);
        return defect === undefined ? [] : [`${name}: ${defect}`];
      });
    expect(wrong).toEqual([]);
  });
});
