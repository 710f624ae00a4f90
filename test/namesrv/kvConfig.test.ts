/** The KV configuration on disk: Apache's text, the `.bak` rule, and nothing counted before it is written. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { silentLogger } from '../../src/base/logger.js';
import { defaultNamesrvConfig } from '../../src/config/namesrvConfig.js';
import { KvConfig } from '../../src/namesrv/kvConfig.js';
import { NamesrvSettings } from '../../src/namesrv/namesrvSettings.js';

let directory: string;
let file: string;
const load = () => KvConfig.load({ file, files: diskFiles, logger: silentLogger });
const textOf = (name: string) => readFileSync(name, 'utf8');

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-kv-'));
  file = path.join(directory, 'namesrv', 'kvConfig.json');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('KvConfig', () => {
  it('writes what Apache writes, keeps the previous text as .bak, and is read back', () => {
    const kvConfig = load();
    kvConfig.put('ORDER_TOPIC_CONFIG', 'TopicO', 'spec-a:4');
    expect(textOf(file)).toBe('{"configTable":{"ORDER_TOPIC_CONFIG":{"TopicO":"spec-a:4"}}}');
    kvConfig.put('N', 'k', 'ü "quoted"\n');
    expect(textOf(`${file}.bak`)).toBe('{"configTable":{"ORDER_TOPIC_CONFIG":{"TopicO":"spec-a:4"}}}');
    kvConfig.delete('N', 'absent');
    const again = load();
    expect(again.get('N', 'k')).toBe('ü "quoted"\n');
    expect(again.list('ORDER_TOPIC_CONFIG')).toEqual(new Map([['TopicO', 'spec-a:4']]));
    expect(diskFiles.list(path.dirname(file))).toEqual(['kvConfig.json', 'kvConfig.json.bak']);
  });

  it.each(['', 'broken{', '[1]', '{"configTable":{"N":7}}'])('takes the .bak when the file holds %j', (content) => {
    const kvConfig = load();
    kvConfig.put('N', 'k', 'old');
    kvConfig.put('N', 'k', 'new');
    writeFileSync(file, content);
    expect(load().get('N', 'k')).toBe('old');
  });

  it('takes the .bak when a crash came between the two renames', () => {
    const kvConfig = load();
    kvConfig.put('N', 'k', 'old');
    kvConfig.put('N', 'k', 'new');
    rmSync(file);
    expect(load().get('N', 'k')).toBe('old');
  });

  it('stops the start, and touches nothing, when neither can be read', () => {
    load().put('N', 'k', 'v');
    writeFileSync(file, 'broken');
    expect(load).toThrow(/kvConfig\.json and its \.bak cannot be read/);
    writeFileSync(`${file}.bak`, 'broken too');
    expect(load).toThrow(expect.objectContaining({ code: 'CORRUPTION' }));
    expect(textOf(file)).toBe('broken');
  });

  it('does not count a change that could not be written', () => {
    const kvConfig = load();
    kvConfig.put('N', 'k', 'v');
    const failing = KvConfig.load({
      file,
      files: {
        ...diskFiles,
        writeFile() {
          throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
        },
      },
      logger: silentLogger,
    });
    expect(() => failing.put('N', 'k', 'other')).toThrow('no room');
    expect(failing.get('N', 'k')).toBe('v');
  });
});

describe('NamesrvSettings', () => {
  it('writes what differs from the defaults before a change counts', () => {
    const configStorePath = path.join(directory, 'namesrv.properties');
    const settings = new NamesrvSettings({ config: defaultNamesrvConfig({ configStorePath }), files: diskFiles });
    settings.update('orderMessageEnable=true');
    expect(textOf(configStorePath)).toBe('orderMessageEnable=true\n');
    settings.update('waitSecondsForService=7\norderMessageEnable=false');
    expect(textOf(configStorePath)).toBe('waitSecondsForService=7\n');
    expect(settings.values.waitSecondsForService).toBe(7);
  });
});
