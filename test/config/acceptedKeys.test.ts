/**
 * Keys without effect: each is accepted with one warning line that says why. Keys that are refused: only the harmless
 * value is taken.
 */
import { describe, expect, it } from 'vitest';
import { BROKER_TABLE, readBrokerConfig } from '../../src/config/brokerConfig.js';
import type { ConfigTable } from '../../src/config/configRows.js';
import { NAMESRV_TABLE, readNamesrvConfig } from '../../src/config/namesrvConfig.js';

describe.each<[string, ConfigTable, (text: string) => { warnings: string[] }]>([
  ['broker.conf', BROKER_TABLE, (text) => readBrokerConfig({ file: 'broker.conf', text })],
  ['namesrv.conf', NAMESRV_TABLE, (text) => readNamesrvConfig({ file: 'namesrv.conf', text })],
])('%s', (file, table, read) => {
  const acceptedKeys = Object.keys(table).filter((key) => table[key]?.honoured === 'accepted');

  it.each(acceptedKeys)('%s is accepted and has no effect', (key) => {
    const row = table[key];
    const { warnings } = read(`${key}=${String(row?.default)}`);
    expect(warnings).toEqual([`${file}:1: ${key} has no effect: ${row?.meaning}`]);
    expect(row?.meaning).toMatch(/^[^.]{10,}[^.]$/);
  });

  it('gives no warning for keys that take effect', () => {
    const lines = Object.keys(table)
      .filter((key) => !acceptedKeys.includes(key))
      .map((key) => `${key}=${String(table[key]?.default)}`);
    expect(read(lines.filter((line) => !/=$/.test(line)).join('\n')).warnings).toEqual([]);
  });
});

describe('what would be promised and not kept', () => {
  it.each([
    'authenticationEnabled',
    'authorizationEnabled',
    'aclEnable',
    'enableDLegerCommitLog',
    'enableControllerMode',
  ])('%s=true is refused with the reason, false is taken', (key) => {
    const refusal = BROKER_TABLE[key as 'aclEnable'].refusal?.(true);
    expect(refusal).toBeDefined();
    expect(() => readBrokerConfig({ file: 'f', text: `${key}=true` })).toThrow(
      `f:1: ${key}=true is refused: ${refusal}`,
    );
    expect(readBrokerConfig({ file: 'f', text: `${key}=false` }).warnings).toEqual([]);
  });
});
