/** The admin commands against a broker and name server of this process, over TCP; the output is RocketMQ's. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ABSENT_ADMIN_COMMANDS, ADMIN_COMMANDS } from '../../src/cli/adminTable.js';
import { runAdmin } from '../../src/cli/runAdmin.js';
import { type Embedded, startEmbedded } from '../../src/embedded/embedded.js';
import { FakeTerminal } from '../support/fakeTerminal.js';

let directory: string;
let embedded: Embedded;
let terminal: FakeTerminal;

/** Runs a command against the embedded servers and returns its lines; fails unless it exits 0. */
const admin = async (...words: string[]): Promise<string[]> => {
  const before = terminal.outLines.length;
  const exitCode = await runAdmin([...words, '-n', embedded.namesrvAddr], terminal);
  expect(terminal.errLines).toEqual([]);
  expect(exitCode).toBe(0);
  return terminal.outLines.slice(before);
};

/** The cells of a line of columns. */
const cells = (line: string | undefined): string[] => (line ?? '').split(/\s{2,}/);

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-admin-'));
  const config = { mappedFileSizeCommitLog: 1024 * 1024, maxHashSlotNum: 1000, maxIndexNum: 4000 };
  embedded = await startEmbedded({ store: directory, listen: true, namesrvPort: 0, brokerPort: 0, config });
});
afterAll(async () => {
  await embedded.stop();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(() => {
  terminal = new FakeTerminal();
});

describe('mqadmin', () => {
  it('has each command once, here or as absent, and all 96 of RocketMQ between them', () => {
    const names = ADMIN_COMMANDS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => ABSENT_ADMIN_COMMANDS.has(name))).toEqual([]);
    expect(names.length + ABSENT_ADMIN_COMMANDS.size).toBeGreaterThanOrEqual(96);
  });

  it('tells what this version does not have from what nobody has', async () => {
    expect(await runAdmin(['haStatus'], terminal)).toBe(1);
    expect(terminal.errLines).toEqual([
      'mqadmin: haStatus is not available: replication is not in this version; "mqadmin help" lists what is',
    ]);
    expect(await runAdmin(['noSuch'], terminal)).toBe(2);
  });

  it('wants a name server, and the options that a command needs', async () => {
    expect(await runAdmin(['topicList'], terminal)).toBe(2);
    expect(terminal.errLines).toEqual(['mqadmin: which name server? give -n HOST:PORT or set NAMESRV_ADDR']);
    expect(await runAdmin(['topicRoute', '-n', 'a:1'], terminal)).toBe(2);
    expect(await runAdmin(['updateTopic', '-t', 'T', '-n', embedded.namesrvAddr], terminal)).toBe(2);
    expect(terminal.errLines.at(-1)).toContain('give -b ADDRESS or -c CLUSTER');
    terminal.env['NAMESRV_ADDR'] = embedded.namesrvAddr;
    expect(await runAdmin(['topicList'], terminal)).toBe(0);
  });

  it('creates, shows, lists and deletes a topic', async () => {
    const created = await admin('updateTopic', '-t', 'T1', '-c', 'DefaultCluster', '-r', '4', '-w', '2', '-p', '6');
    expect(created).toEqual([
      `create topic to ${embedded.brokerAddr} success.`,
      'TopicConfig [topicName=T1, readQueueNums=4, writeQueueNums=2, perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, attributes={}]',
    ]);
    expect(await admin('topicList')).toContain('T1');
    expect((await admin('topicRoute', '-t', 'T1')).join('\n')).toContain(`\t\t\t\t0: "${embedded.brokerAddr}"`);
    const [, row] = await admin('topicRoute', '-t', 'T1', '-l');
    expect(cells(row)).toEqual(['DefaultCluster', 'broker-a', embedded.brokerAddr, '4', '2', '6']);
    expect(await admin('deleteTopic', '-t', 'T1', '-c', 'DefaultCluster')).toEqual([
      'delete topic [T1] from cluster [DefaultCluster] success.',
      'delete topic [T1] from NameServer success.',
    ]);
    expect(await admin('topicList')).not.toContain('T1');
    expect(await runAdmin(['topicRoute', '-t', 'T1', '-n', embedded.namesrvAddr], terminal)).toBe(1);
    expect(terminal.errLines).toEqual(['mqadmin: no name server knows a route for topic T1']);
  });

  it('notes the order configuration', async () => {
    const lines = await admin('updateTopic', '-t', 'Ordered', '-b', embedded.brokerAddr, '-o', 'true', '-w', '4');
    expect(lines).toContain('set broker orderConf. isOrder=true, orderConf=[broker-a:4]');
    await admin('deleteTopic', '-t', 'Ordered', '-c', 'DefaultCluster');
  });

  it('sends a message and finds it by key, by offset id and by unique key', async () => {
    await admin('updateTopic', '-t', 'M', '-c', 'DefaultCluster');
    const [, sent] = await admin(
      'sendMessage',
      '-t',
      'M',
      '-p',
      'bödy',
      '-k',
      'k1 k2',
      '-c',
      'tagA',
      '-b',
      'broker-a',
      '-i',
      '3',
    );
    const [brokerName, queueId, status, msgId = ''] = cells(sent);
    expect([brokerName, queueId, status]).toEqual(['broker-a', '3', 'SEND_OK']);
    const [, found, none] = await admin('queryMsgByKey', '-t', 'M', '-k', 'k2');
    expect(cells(found)).toEqual([msgId, '3', '0', 'k2']);
    expect(none).toBeUndefined();
    const details = new Map(
      (await admin('queryMsgById', '-t', 'M', '-i', msgId)).map((line) => [line.split(':')[0], line.slice(20).trim()]),
    );
    expect(details.get('Tags')).toBe('[tagA]');
    expect(details.get('Keys')).toBe('[k1 k2]');
    expect(readFileSync(details.get('Message Body Path') ?? '', 'utf8')).toBe('bödy');
    const byOffsetId = await admin('queryMsgById', '-t', 'M', '-i', details.get('OffsetID') ?? '');
    expect(byOffsetId).toContain(`${'Queue ID:'.padEnd(20)} 3`);
    expect(
      await runAdmin(['queryMsgById', '-t', 'M', '-i', 'F'.repeat(32), '-n', embedded.namesrvAddr], terminal),
    ).toBe(1);
    expect(terminal.errLines).toHaveLength(1);
  });

  it('lists the cluster', async () => {
    const [title, row] = await admin('clusterList');
    expect(title).toMatch(/^#Cluster Name/);
    expect(cells(row).slice(0, 4)).toEqual(['DefaultCluster', 'broker-a', '0', embedded.brokerAddr]);
  });

  it('shows the progress of a group that nobody knows as empty', async () => {
    const lines = await admin('consumerProgress', '-g', 'nobody');
    expect(lines.slice(-3)).toEqual(['Consume TPS: 0.00', 'Consume Diff Total: 0', 'Consume Inflight Total: 0']);
  });

  it('sets and removes a value of the KV configuration', async () => {
    expect(await admin('updateKvConfig', '-s', 'N', '-k', 'k', '-v', 'v')).toEqual([
      'create or update kv config to namespace success.',
    ]);
    expect(await admin('deleteKvConfig', '-s', 'N', '-k', 'k')).toEqual(['delete kv config from namespace success.']);
  });
});
