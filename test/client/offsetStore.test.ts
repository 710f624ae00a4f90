/** The offset file of BROADCASTING groups: Java's text is read, ours is read back, a torn one falls back to its predecessor. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { decodeOffsetFile, encodeOffsetFile, LocalOffsetStore } from '../../src/client/offsetStore.js';

let directory = '';
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-offsets-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

const QUEUE = { topic: 'T', brokerName: 'broker-a', queueId: 0 };
const open = () => LocalOffsetStore.open({ files: diskFiles, directory, clientId: '10.0.0.1@bc', group: 'G' });
const fileOf = (name: string) => path.join(directory, '10.0.0.1@bc', 'G', name);

describe('offset file', () => {
  it('reads what upstream writes', () => {
    const text = '{"offsetTable":{{"brokerName":"spec-a","queueId":0,"topic":"SpecT1"}:2}}';
    expect(decodeOffsetFile(Buffer.from(text))).toEqual([[{ topic: 'SpecT1', brokerName: 'spec-a', queueId: 0 }, 2]]);
  });

  it('has the layout of upstream', () => {
    expect(encodeOffsetFile([[QUEUE, 5]])).toBe(
      '{\n\t"offsetTable":{{\n\t\t\t"brokerName":"broker-a",\n\t\t\t"queueId":0,\n\t\t\t"topic":"T"\n\t\t}:5\n\t}\n}',
    );
  });

  it('reads back what it wrote', () => {
    const queue = fc.record({ topic: fc.string(), brokerName: fc.string(), queueId: fc.nat() });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(queue, fc.maxSafeNat()), { selector: ([each]) => JSON.stringify(each) }),
        (offsets) => {
          const read = decodeOffsetFile(Buffer.from(encodeOffsetFile(offsets)));
          expect(new Set(read.map((pair) => JSON.stringify(pair)))).toEqual(
            new Set(
              offsets.map(([{ topic, brokerName, queueId }, offset]) =>
                JSON.stringify([{ topic, brokerName, queueId }, offset]),
              ),
            ),
          );
        },
      ),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 200) },
    );
  });
});

describe('local offset store', () => {
  it('remembers over a restart, under client id and group', async () => {
    const store = open();
    expect(await store.load(QUEUE)).toBeUndefined();
    store.update(QUEUE, 7);
    await store.persist();
    expect(fs.existsSync(fileOf('offsets.json'))).toBe(true);
    expect(await open().load(QUEUE)).toBe(7);
  });

  it('keeps the predecessor and reads it when the file is torn', async () => {
    const store = open();
    store.update(QUEUE, 7);
    await store.persist();
    store.update(QUEUE, 8);
    await store.persist();
    expect(await open().load(QUEUE)).toBe(8);
    fs.writeFileSync(fileOf('offsets.json'), '{"offsetTable":{{"brok');
    expect(await open().load(QUEUE)).toBe(7);
  });

  it('says which file cannot be read when both are torn', async () => {
    const store = open();
    store.update(QUEUE, 7);
    await store.persist();
    store.update(QUEUE, 8);
    await store.persist();
    for (const name of ['offsets.json', 'offsets.json.bak']) fs.writeFileSync(fileOf(name), 'x');
    expect(() => open()).toThrow(/offsets\.json.*repair or remove/);
  });
});
