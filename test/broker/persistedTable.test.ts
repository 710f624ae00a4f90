import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { PersistedTable, writePrettyJson } from '../../src/broker/persistedTable.js';
import { recordingLogger, temporaryDirectory } from '../support/testBroker.js';

const take = (value: unknown) => value as Record<string, unknown>;

function tableIn(directory: string) {
  const logger = recordingLogger();
  const file = path.join(directory, 'config', 'delayOffset.json');
  return { file, logger, table: new PersistedTable({ file, files: diskFiles, logger }) };
}

describe('text', () => {
  it('is what RocketMQ writes: tabs, no blank after the colon, sorted members, unquoted integer keys', () => {
    const value = {
      offsetTable: new Map([
        [18, 0],
        [1, 1],
        [3, 2],
      ]),
      dataVersion: { timestamp: 1795424796986, stateVersion: 0, counter: 5 },
    };
    expect(writePrettyJson(value)).toBe(
      '{\n\t"dataVersion":{\n\t\t"counter":5,\n\t\t"stateVersion":0,\n\t\t"timestamp":1795424796986\n\t},\n' +
        '\t"offsetTable":{\n\t\t1:1,\n\t\t3:2,\n\t\t18:0\n\t}\n}',
    );
  });

  it('leaves members without a value out, and writes empty maps and lists short', () => {
    expect(writePrettyJson({ a: {}, b: [], c: undefined, d: null, e: ['x', 1] })).toBe(
      '{\n\t"a":{},\n\t"b":[],\n\t"e":[\n\t\t"x",\n\t\t1\n\t]\n}',
    );
  });
});

describe('load', () => {
  it('is undefined when there is nothing', () => {
    expect(tableIn(temporaryDirectory()).table.load(take)).toBeUndefined();
  });

  it.each(['{"offsetTable":{1:1,3:2}}', '{"offsetTable":{"1":1,"3":2}}'])(
    'reads integer keys in both forms: %s',
    (text) => {
      const { file, table } = tableIn(temporaryDirectory());
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
      expect(table.load(take)).toEqual({ offsetTable: { 1: 1, 3: 2 } });
    },
  );

  it.each(['', '{"offsetTable":{1:'])('takes the .bak for a file that holds %j', (text) => {
    const { file, table } = tableIn(temporaryDirectory());
    table.save({ n: 1 });
    table.save({ n: 2 });
    writeFileSync(file, text);
    expect(table.load(take)).toEqual({ n: 1 });
  });

  it('takes the .bak for a missing file, and keeps an unreadable one', () => {
    const { file, table, logger } = tableIn(temporaryDirectory());
    table.save({ n: 1 });
    table.save({ n: 2 });
    writeFileSync(file, 'not json');
    expect(table.load(take)).toEqual({ n: 1 });
    expect(readFileSync(`${file}.broken`, 'utf8')).toBe('not json');
    expect(logger.lines).toHaveLength(1);
    expect(table.load(take)).toEqual({ n: 1 });
  });

  it('is empty when the file is unreadable and there is no .bak, as upstream starts', () => {
    const { file, table } = tableIn(temporaryDirectory());
    table.save({ n: 1 });
    writeFileSync(file, '{');
    expect(table.load(take)).toBeUndefined();
  });

  it('refuses to go on when neither can be read', () => {
    const { file, table } = tableIn(temporaryDirectory());
    table.save({ n: 1 });
    table.save({ n: 2 });
    writeFileSync(file, '{');
    writeFileSync(`${file}.bak`, '{');
    expect(() => table.load(take)).toThrow(/neither .*delayOffset.json nor its .bak can be read/);
  });

  it('finds the newest text after a crash between the two renames', () => {
    const { file, table } = tableIn(temporaryDirectory());
    table.save({ n: 1 });
    table.save({ n: 2 });
    // As it lies there when the file was renamed to .bak and the new one was not renamed yet.
    diskFiles.rename(file, `${file}.bak`);
    writeFileSync(`${file}.tmp`, writePrettyJson({ n: 3 }));
    expect(table.load(take)).toEqual({ n: 3 });
    // A crash while the new text was written.
    writeFileSync(`${file}.tmp`, '{\n\t"n":');
    expect(table.load(take)).toEqual({ n: 2 });
  });
});

describe('save', () => {
  it('keeps the previous content as .bak and leaves nothing else', async () => {
    const { file, table } = tableIn(temporaryDirectory());
    table.save({ n: 1 });
    await table.saveSoon({ n: 2 });
    table.save({ n: 3 });
    expect(readFileSync(file, 'utf8')).toBe('{\n\t"n":3\n}');
    expect(readFileSync(`${file}.bak`, 'utf8')).toBe('{\n\t"n":2\n}');
    expect(readdirSync(path.dirname(file)).sort()).toEqual(['delayOffset.json', 'delayOffset.json.bak']);
  });
});
