/**
 * The admin commands by family (topics, groups, consumers, messages, brokers, name servers) against a broker and name
 * server of this process, over TCP, with real producers and consumers.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { runAdmin } from '../../src/cli/runAdmin.js';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { versionName } from '../../src/client/versionName.js';
import { type Embedded, startEmbedded } from '../../src/embedded/embedded.js';
import { FakeTerminal } from '../support/fakeTerminal.js';

const CLUSTER = ['-c', 'DefaultCluster'] as const;

let directory: string;
let embedded: Embedded;
let session: Session;
let terminal: FakeTerminal;

/** Runs a command and returns its lines; fails unless it exits 0. */
const admin = async (...words: string[]): Promise<string[]> => {
  const before = terminal.outLines.length;
  const exitCode = await runAdmin([...words, '-n', embedded.namesrvAddr], terminal);
  expect(terminal.errLines).toEqual([]);
  expect(exitCode).toBe(0);
  return terminal.outLines.slice(before);
};

/** Runs a command that must fail and returns its line. */
const failing = async (...words: string[]): Promise<string> => {
  expect(await runAdmin([...words, '-n', embedded.namesrvAddr], terminal)).not.toBe(0);
  expect(terminal.errLines).toHaveLength(1);
  return terminal.errLines.pop() ?? '';
};

const cells = (line: string | undefined): string[] => (line ?? '').split(/\s{2,}/);

/** A topic of one queue with messages in it. */
const topicWith = async (topic: string, ...bodies: string[]) => {
  await admin('updateTopic', '-t', topic, ...CLUSTER, '-r', '1', '-w', '1');
  const producer = new Producer({ session, group: 'AdminProducers' });
  const results = [];
  for (const body of bodies)
    results.push(await producer.send({ topic, body, tags: `tag-${body}`, keys: [`key-${body}`] }));
  return results;
};

/** A running consumer; resolves when it has had `count` messages. */
const consumerOf = async (group: string, topic: string, count: number) => {
  let seen = 0;
  let resolve = () => {};
  const done = new Promise<void>((settle) => {
    resolve = settle;
  });
  const consumer = new PushConsumer(session, {
    group,
    subscriptions: [{ topic }],
    from: 'CONSUME_FROM_FIRST_OFFSET',
    listener: async (messages) => {
      seen += messages.length;
      if (seen >= count) resolve();
      return { status: 'SUCCESS' };
    },
  });
  await consumer.start();
  onTestFinished(() => consumer.stop());
  if (count > 0) await done;
  return consumer;
};

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-admin-'));
  const config = { mappedFileSizeCommitLog: 1024 * 1024, maxHashSlotNum: 1000, maxIndexNum: 4000 };
  embedded = await startEmbedded({ store: directory, listen: true, namesrvPort: 0, brokerPort: 0, config });
  session = await Session.open({ namesrvAddr: embedded.namesrvAddr });
});
afterAll(async () => {
  await session.close();
  await embedded.stop();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(() => {
  terminal = new FakeTerminal();
});

describe('topics', () => {
  it('topicStatus shows the offsets of each queue', async () => {
    await topicWith('Status', 'a', 'b');
    const [title, row, blank, tps] = await admin('topicStatus', '-t', 'Status');
    expect(title).toMatch(/^#Broker Name\s+#QID\s+#Min Offset\s+#Max Offset\s+#Last Updated$/);
    expect(cells(row).slice(0, 4)).toEqual(['broker-a', '0', '0', '2']);
    expect(cells(row)[4]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}$/);
    expect(blank).toBe('');
    expect(tps).toMatch(/^Topic Put TPS: \d/);
  });

  it('topicClusterList names the clusters of a topic, and says when there is none', async () => {
    expect(await admin('topicClusterList', '-t', 'TBW102')).toEqual(['DefaultCluster']);
    expect(await failing('topicClusterList', '-t', 'Nowhere')).toBe(
      'mqadmin: no name server knows a route for topic Nowhere',
    );
  });

  it('topicList -c shows clusters and consumer groups', async () => {
    await topicWith('Listed', 'a');
    await consumerOf('ListedGroup', 'Listed', 1);
    const lines = (await admin('topicList', '-c')).map(cells);
    expect(lines[0]).toEqual(['#Cluster Name', '#Topic', '#Consumer Group']);
    expect(lines).toContainEqual(['DefaultCluster', 'Listed', 'ListedGroup']);
    expect(lines.some(([, topic]) => topic?.startsWith('%RETRY%'))).toBe(false);
  });

  it('updateTopicPerm changes the permission and nothing else', async () => {
    await admin('updateTopic', '-t', 'Perm', ...CLUSTER, '-r', '3', '-w', '2');
    expect(await admin('updateTopicPerm', '-t', 'Perm', '-b', embedded.brokerAddr, '-p', '4')).toEqual([
      `update topic perm from 6 to 4 in ${embedded.brokerAddr} success.`,
      'TopicConfig [topicName=Perm, readQueueNums=3, writeQueueNums=2, perm=R--, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, attributes={}].',
    ]);
    expect(cells((await admin('topicRoute', '-t', 'Perm', '-l'))[1]).slice(3)).toEqual(['3', '2', '4']);
    expect(await failing('updateTopicPerm', '-t', 'Nowhere', ...CLUSTER, '-p', '4')).toContain(
      'none of these brokers has topic Nowhere',
    );
  });

  it('updateOrderConf puts, gets and deletes', async () => {
    const orderConf = (...words: string[]) => admin('updateOrderConf', '-t', 'Ordered', ...words);
    expect(await orderConf('-m', 'put', '-v', 'broker-a:4')).toEqual([
      'update orderConf success. topic=[Ordered], orderConf=[broker-a:4]',
    ]);
    expect(await orderConf('-m', 'get')).toEqual(['get orderConf success. topic=[Ordered], orderConf=[broker-a:4]']);
    expect(await orderConf('-m', 'delete')).toEqual(['delete orderConf success. topic=[Ordered]']);
    expect(await failing('updateOrderConf', '-t', 'Ordered', '-m', 'get')).toContain('has no order configuration');
    expect(await failing('updateOrderConf', '-t', 'Ordered', '-m', 'x')).toContain('must be get, put or delete');
  });

  it('updateTopicList makes all topics of a file, or none when it is wrong', async () => {
    const file = path.join(directory, 'topics-to-make.json');
    writeFileSync(file, JSON.stringify([{ topicName: 'FromFile1', writeQueueNums: 2 }, { topicName: 'FromFile2' }]));
    expect(await admin('updateTopicList', ...CLUSTER, '-f', file)).toEqual([
      `submit batch of topic config to ${embedded.brokerAddr} success, 2 topics.`,
    ]);
    expect(cells((await admin('topicRoute', '-t', 'FromFile1', '-l'))[1])[4]).toBe('2');
    writeFileSync(file, JSON.stringify([{ topicName: 'FromFile3' }, {}]));
    expect(await failing('updateTopicList', ...CLUSTER, '-f', file)).toContain('item 1 has no topicName');
    writeFileSync(file, 'nonsense');
    expect(await failing('updateTopicList', ...CLUSTER, '-f', file)).toContain('must be a JSON list');
    expect(await admin('topicList')).not.toContain('FromFile3');
  });

  it('allocateMQ shares out the queues', async () => {
    await admin('updateTopic', '-t', 'Shared', ...CLUSTER, '-r', '3', '-w', '3');
    const [line = ''] = await admin('allocateMQ', '-t', 'Shared', '-i', '10.0.0.1,10.0.0.2');
    const { result } = JSON.parse(line) as { result: Record<string, { queueId: number }[]> };
    expect(result['10.0.0.1']?.map(({ queueId }) => queueId)).toEqual([0, 1]);
    expect(result['10.0.0.2']?.map(({ queueId }) => queueId)).toEqual([2]);
  });
});

describe('groups', () => {
  const configOf = async (group: string) => {
    const [, ...lines] = await admin('getConsumerConfig', '-g', group);
    return new Map(lines.map((line) => [line.slice(0, 40).trim(), line.slice(43)]));
  };

  it('updateSubGroup creates a group; like RocketMQ it sends -m and -d as false unless they are said', async () => {
    const lines = await admin('updateSubGroup', '-g', 'Made', ...CLUSTER, '-r', '5', '-d', 'true');
    expect(lines[0]).toBe(`create subscription group to ${embedded.brokerAddr} success.`);
    expect(lines[1]).toMatch(
      /^SubscriptionGroupConfig\{groupName=Made, consumeEnable=true, consumeFromMinEnable=false/,
    );
    const config = await configOf('Made');
    expect(config.get('retryMaxTimes')).toBe('5');
    expect(config.get('consumeFromMinEnable')).toBe('false');
    expect(config.get('consumeBroadcastEnable')).toBe('true');
    expect(await failing('updateSubGroup', '-g', 'Made', ...CLUSTER, '-s', 'yes')).toContain('must be true or false');
  });

  it('getConsumerConfig does not create the group that it asks for', async () => {
    expect(await failing('getConsumerConfig', '-g', 'Nobody')).toContain('no broker has a consumer group Nobody');
    expect(await failing('getConsumerConfig', '-g', 'Nobody')).toContain('no broker has a consumer group Nobody');
  });

  it('updateSubGroupList makes all groups of a file', async () => {
    const file = path.join(directory, 'groups-to-make.json');
    writeFileSync(file, JSON.stringify([{ groupName: 'Listed1', retryMaxTimes: 3 }, { groupName: 'Listed2' }]));
    expect(await admin('updateSubGroupList', ...CLUSTER, '-f', file)).toEqual([
      `submit batch of subscription group config to ${embedded.brokerAddr} success, 2 groups.`,
    ]);
    expect((await configOf('Listed1')).get('retryMaxTimes')).toBe('3');
  });

  it('deleteSubGroup takes the group away, of a cluster with its retry and dead-letter topics', async () => {
    await admin('updateSubGroup', '-g', 'Gone', ...CLUSTER);
    await admin('updateTopic', '-t', '%RETRY%Gone', ...CLUSTER);
    expect(await admin('deleteSubGroup', '-g', 'Gone', ...CLUSTER)).toEqual([
      `delete subscription group [Gone] from broker [${embedded.brokerAddr}] in cluster [DefaultCluster] success.`,
      'delete topic [%RETRY%Gone] from cluster [DefaultCluster] success.',
      'delete topic [%DLQ%Gone] from cluster [DefaultCluster] success.',
    ]);
    expect(await failing('getConsumerConfig', '-g', 'Gone')).toContain('no broker has');
    expect(await admin('topicList')).not.toContain('%RETRY%Gone');
    await admin('updateSubGroup', '-g', 'Gone', '-b', embedded.brokerAddr);
    expect(await admin('deleteSubGroup', '-g', 'Gone', '-b', embedded.brokerAddr)).toEqual([
      `delete subscription group [Gone] from broker [${embedded.brokerAddr}] success.`,
    ]);
  });
});

describe('consumers and producers', () => {
  it('consumerConnection shows members and subscriptions, and says when nobody is there', async () => {
    await topicWith('Connected', 'a');
    await consumerOf('ConnectedGroup', 'Connected', 1);
    const lines = await admin('consumerConnection', '-g', 'ConnectedGroup');
    const [clientId, address, language, version] = cells(lines[1]);
    expect([clientId, language, version]).toEqual([session.clientId, 'OTHER', 'V5_5_0']);
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(lines.map(cells)).toContainEqual(['Connected', '*']);
    expect(lines.slice(-3)).toEqual([
      'ConsumeType: CONSUME_PASSIVELY',
      'MessageModel: CLUSTERING',
      'ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET',
    ]);
    expect(await failing('consumerConnection', '-g', 'Nobody')).toBe(
      'mqadmin: no member of consumer group Nobody is connected',
    );
  });

  it('producerConnection shows producers', async () => {
    await topicWith('Produced', 'a');
    await session.heartbeat.beatAll();
    const [title, row] = await admin('producerConnection', '-g', 'AdminProducers', '-t', 'Produced');
    expect(title).toMatch(/^#ClientId/);
    expect(cells(row)[0]).toBe(session.clientId);
    expect(await failing('producerConnection', '-g', 'Nobody', '-t', 'Produced')).toContain(
      'no producer of group Nobody',
    );
  });

  it('consumerProgress without a group has a line for each', async () => {
    await topicWith('Progress', 'a', 'b');
    await consumerOf('ProgressGroup', 'Progress', 2);
    const lines = (await admin('consumerProgress')).map(cells);
    expect(lines[0]).toEqual(['#Group', '#Count', '#Version', '#Type', '#Model', '#TPS', '#Diff Total']);
    const row = lines.find(([group]) => group === 'ProgressGroup');
    expect(row?.slice(0, 5)).toEqual(['ProgressGroup', '1', 'V5_5_0', 'PUSH', 'CLUSTERING']);
    const offline = lines.find(([group]) => group === 'ConnectedGroup');
    expect(offline?.slice(0, 3)).toEqual(['ConnectedGroup', '0', 'OFFLINE']);
  });

  it('resetOffsetByTime and skipAccumulatedMessage move a group that is off line', async () => {
    const [first] = await topicWith('Reset', 'a', 'b', 'c');
    expect(first).toBeDefined();
    await admin('updateSubGroup', '-g', 'ResetGroup', ...CLUSTER);
    const [line, title, row] = await admin('resetOffsetByTime', '-g', 'ResetGroup', '-t', 'Reset', '-s', '0');
    expect(line).toBe(
      'start reset consumer offset by specified, group[ResetGroup], topic[Reset], force[true], timestamp(string)[0], timestamp(long)[0]',
    );
    expect(title).toMatch(/^#brokerName\s+#queueId\s+#offset$/);
    expect(cells(row)).toEqual(['broker-a', '0', '0']);
    const skipped = await admin('skipAccumulatedMessage', '-g', 'ResetGroup', '-t', 'Reset');
    expect(cells(skipped[1])).toEqual(['broker-a', '0', '3']);
    const progress = await admin('consumerProgress', '-g', 'ResetGroup', '-t', 'Reset');
    expect(progress).toContain('Consume Diff Total: 0');
    const text = await admin('resetOffsetByTime', '-g', 'ResetGroup', '-t', 'Reset', '-s', '2020-01-31#09:05:06:007');
    expect(text[0]).toContain(`timestamp(long)[${new Date(2020, 0, 31, 9, 5, 6, 7).getTime()}]`);
    expect(await failing('resetOffsetByTime', '-g', 'G', '-t', 'Reset', '-s', 'yesterday')).toContain(
      'must be now, milliseconds or yyyy-MM-dd#HH:mm:ss:SSS',
    );
  });
});

describe('figures', () => {
  it('producer lists the producers of a broker', async () => {
    await topicWith('AllProducers', 'a');
    await session.heartbeat.beatAll();
    const lines = await admin('producer', '-b', embedded.brokerAddr);
    expect(lines.join()).toContain(
      `producer group (AdminProducers) instance : clientId=${session.clientId}, remoteIP=127.0.0.1`,
    );
  });

  it('consumerStatus prints what a member says of itself', async () => {
    await topicWith('Asked', 'a');
    await consumerOf('AskedGroup', 'Asked', 1);
    const lines = await admin('consumerStatus', '-g', 'AskedGroup', '-i', session.clientId);
    expect(JSON.parse(lines.join('\n'))).toMatchObject({ subscriptionSet: expect.anything() });
    expect(await failing('consumerStatus', '-g', 'Nobody')).toContain(
      'no member of consumer group Nobody is connected',
    );
  });

  it('cloneGroupOffset gives a group the progress of another', async () => {
    await topicWith('Cloned', 'a', 'b', 'c');
    await admin('updateSubGroup', '-g', 'SourceGroup', ...CLUSTER);
    await admin('updateSubGroup', '-g', 'CopyGroup', ...CLUSTER);
    await admin('skipAccumulatedMessage', '-g', 'SourceGroup', '-t', 'Cloned');
    expect(
      await admin('cloneGroupOffset', '-s', 'SourceGroup', '-d', 'CopyGroup', '-t', 'Cloned', '-o', 'true'),
    ).toEqual(['clone group offset success. srcGroup[SourceGroup], destGroup=[CopyGroup], topic[Cloned]']);
    expect(await admin('consumerProgress', '-g', 'CopyGroup', '-t', 'Cloned')).toContain('Consume Diff Total: 0');
  });

  it('statsAll has a line for each topic and group', async () => {
    await topicWith('Busy', 'a', 'b');
    await consumerOf('BusyGroup', 'Busy', 2);
    const [title, ...lines] = await admin('statsAll', '-t', 'Busy');
    expect(title).toMatch(/^#Topic\s+#Consumer Group\s+#Accumulation\s+#InTPS/);
    expect(lines.map(cells).map(([topic, group]) => [topic, group])).toEqual([['Busy', 'BusyGroup']]);
  });

  it('queryCq shows entries of a consume queue', async () => {
    await topicWith('Entries', 'a', 'b', 'c');
    const [title, ...lines] = await admin('queryCq', '-t', 'Entries', '-q', '0', '-i', '1', '-c', '5');
    expect(title).toBe(`Queue data: ${embedded.brokerAddr}, min=0, max=3`);
    expect(
      lines.map((line) => /^idx: (\d+) offset: \d+ size: \d+ tagsCode: -?\d+ eval: true$/.exec(line)?.[1]),
    ).toEqual(['1', '2']);
  });
});

describe('messages', () => {
  it('queryMsgByUniqueKey and queryMsgByOffset show one message', async () => {
    const [, second] = await topicWith('Found', 'a', 'b');
    const msgId = second?.msgId ?? '';
    const details = await admin('queryMsgByUniqueKey', '-t', 'Found', '-i', msgId);
    expect(details).toContain(`${'Tags:'.padEnd(20)} [tag-b]`);
    expect(await admin('queryMsgByOffset', '-t', 'Found', '-b', 'broker-a', '-i', '0', '-o', '1')).toEqual(details);
    const bodyFile = details.at(-1)?.slice(20).trim() ?? '';
    expect(readFileSync(bodyFile, 'utf8')).toBe('b');
    rmSync(bodyFile);
    expect(await failing('queryMsgByUniqueKey', '-t', 'Found', '-i', 'F'.repeat(32))).toContain('no message FFFF');
    expect(await failing('queryMsgByOffset', '-t', 'Found', '-b', 'broker-a', '-i', '0', '-o', '9')).toContain(
      'no message lies at offset 9 of queue Found/broker-a/0',
    );
  });

  it('printMsg prints a topic, within times and tags', async () => {
    const [first] = await topicWith('Printed', 'a', 'b', 'c');
    const [title, ...lines] = await admin('printMsg', '-t', 'Printed');
    expect(title).toBe('minOffset=0, maxOffset=3, MessageQueue [topic=Printed, brokerName=broker-a, queueId=0]');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(new RegExp(`^MSGID: ${first?.msgId} \\[.*tags=tag-a, keys=key-a.*\\] BODY: a$`));
    const tagged = await admin('printMsg', '-t', 'Printed', '-s', 'tag-b || tag-c', '-d', 'false');
    expect(tagged.slice(1).map((line) => /tags=(\S+),/.exec(line)?.[1])).toEqual(['tag-b', 'tag-c']);
    expect(tagged.join()).not.toContain('BODY');
    expect(await admin('printMsg', '-t', 'Printed', '-e', '1000')).toHaveLength(1);
  });

  it('printMsgByQueue prints or counts one queue', async () => {
    await topicWith('Counted', 'a', 'b', 'b');
    const queue = ['-t', 'Counted', '-a', 'broker-a', '-i', '0'];
    expect(await admin('printMsgByQueue', ...queue, '-f', 'true')).toEqual([
      `Tag: ${'tag-b'.padEnd(30)} Count: 2`,
      `Tag: ${'tag-a'.padEnd(30)} Count: 1`,
    ]);
    const printed = await admin('printMsgByQueue', ...queue, '-p', 'true', '-d', 'true');
    expect(printed.map((line) => line.split(' BODY: ')[1])).toEqual(['a', 'b', 'b']);
  });

  it('consumeMessage prints from a place on and records nothing', async () => {
    await topicWith('Peeked', 'a', 'b', 'c');
    const bodies = (lines: string[]) => lines.slice(1).map((line) => line.split(' BODY: ')[1]);
    const all = await admin('consumeMessage', '-t', 'Peeked');
    expect(all[0]).toBe('Consume ok');
    expect(bodies(all)).toEqual(['a', 'b', 'c']);
    expect(bodies(await admin('consumeMessage', '-t', 'Peeked', '-c', '2'))).toEqual(['a', 'b']);
    const place = ['-b', 'broker-a', '-i', '0', '-o', '2'];
    expect(bodies(await admin('consumeMessage', '-t', 'Peeked', ...place))).toEqual(['c']);
    expect(await failing('consumeMessage', '-t', 'Peeked', '-i', '0')).toContain('a queue needs both');
    expect(await failing('consumeMessage', '-t', 'Peeked', '-o', '1')).toContain('an offset is one of a queue');
  });

  it('sendMsgStatus, checkMsgSendRT and clusterRT tell how long sends take', async () => {
    const sent = await admin('sendMsgStatus', '-b', 'broker-a', '-c', '3');
    expect(sent).toHaveLength(3);
    expect(sent[0]).toMatch(/^rt=\d+ms, SendResult=SEND_OK \[brokerName=broker-a, queueId=\d+\]$/);
    await topicWith('Timed');
    const checked = await admin('checkMsgSendRT', '-t', 'Timed', '-a', '3');
    expect(checked).toHaveLength(5);
    expect(cells(checked[1]).slice(0, 3)).toEqual(['broker-a', '0', 'true']);
    expect(checked.at(-1)).toMatch(/^Avg RT: \d+\.\d\d$/);
    const [, row] = await admin('clusterRT', '-a', '2', '-s', '10');
    expect(cells(row)).toEqual(['DefaultCluster', 'broker-a', '0.00', '2', '0']);
  });
});

describe('brokers', () => {
  it('brokerStatus and getBrokerConfig print sorted names and values', async () => {
    const status = await admin('brokerStatus', '-b', embedded.brokerAddr);
    expect(status).toContain(`${'brokerVersionDesc'.padEnd(32)}: V5_5_0`);
    expect([...status].sort()).toEqual(status);
    expect((await admin('brokerStatus', ...CLUSTER))[0]).toMatch(new RegExp(`^${embedded.brokerAddr}\\s+\\S+\\s*: `));
    const [title, ...config] = await admin('getBrokerConfig', '-b', embedded.brokerAddr);
    expect(title).toBe(`============${embedded.brokerAddr}============`);
    expect(config).toContain(`${'brokerName'.padEnd(50)}=  broker-a`);
  });

  it('updateBrokerConfig changes a key of the running broker, and says what it refuses', async () => {
    const update = (key: string, value: string) => ['updateBrokerConfig', ...CLUSTER, '-k', key, '-v', value];
    expect(await admin(...update('transactionCheckMax', '7'))).toEqual([
      `update broker config success, ${embedded.brokerAddr}`,
    ]);
    const config = await admin('getBrokerConfig', '-b', embedded.brokerAddr);
    expect(config).toContain(`${'transactionCheckMax'.padEnd(50)}=  7`);
    expect(await failing(...update('configBlackList', 'x'))).toContain('black list');
  });

  it('brokerConsumeStats shows every group and queue', async () => {
    await topicWith('Behind', 'a', 'b', 'c');
    await admin('updateSubGroup', '-g', 'BehindGroup', ...CLUSTER);
    await admin('resetOffsetByTime', '-g', 'BehindGroup', '-t', 'Behind', '-s', '0');
    await admin('cloneGroupOffset', '-s', 'BehindGroup', '-d', 'BehindToo', '-t', 'Behind', '-o', 'true');
    const lines = (await admin('brokerConsumeStats', '-b', embedded.brokerAddr)).map(cells);
    expect(lines[0]?.slice(0, 3)).toEqual(['#Topic', '#Group', '#Broker Name']);
    const row = lines.find(([topic, group]) => topic === 'Behind' && group === 'BehindGroup');
    expect(row?.slice(2, 7)).toEqual(['broker-a', '0', '3', '0', '3']);
    expect(lines.at(-1)?.[0]).toMatch(/^Diff Total: \d+$/);
    const some = (await admin('brokerConsumeStats', '-b', embedded.brokerAddr, '-l', '4')).map(cells);
    expect(some.some(([topic]) => topic === 'Behind')).toBe(false);
  });

  it('cleanExpiredCQ, cleanUnusedTopic and deleteExpiredCommitLog are taken by all brokers', async () => {
    for (const command of ['cleanExpiredCQ', 'cleanUnusedTopic', 'deleteExpiredCommitLog']) {
      expect(await admin(command)).toEqual(['success']);
      expect(await admin(command, '-b', embedded.brokerAddr)).toEqual(['success']);
      expect(await admin(command, '-c', 'NoCluster')).toEqual(['no broker is registered']);
    }
  });

  it('exportMetadata and exportConfigs write JSON files', async () => {
    await topicWith('Exported', 'a');
    await admin('updateSubGroup', '-g', 'ExportedGroup', ...CLUSTER);
    const target = path.join(directory, 'export');
    const read = (name: string) => JSON.parse(readFileSync(path.join(target, `${name}.json`), 'utf8'));
    expect(await admin('exportMetadata', ...CLUSTER, '-f', target)).toEqual([`export ${target}/metadata.json success`]);
    expect(read('metadata').topicConfigTable.Exported).toMatchObject({ topicName: 'Exported', perm: 6 });
    expect(read('metadata').subscriptionGroupTable.ExportedGroup).toMatchObject({ groupName: 'ExportedGroup' });
    await admin('exportMetadata', '-b', embedded.brokerAddr, '-t', '-f', target);
    expect(read('topic').subscriptionGroupTable).toBeUndefined();
    await admin('exportConfigs', ...CLUSTER, '-f', target);
    expect(read('configs')).toMatchObject({
      brokerConfigs: { 'broker-a': { brokerName: 'broker-a' } },
      clusterScale: { namesrvSize: 1, masterBrokerSize: 1 },
    });
    expect(await failing('exportMetadata', '-f', target)).toContain('of which brokers? give -b or -c');
    expect(existsSync(target)).toBe(true);
  });
});

describe('name servers', () => {
  it('getNamesrvConfig shows, updateNamesrvConfig changes the configuration', async () => {
    const shown = async () => (await admin('getNamesrvConfig')).find((line) => line.startsWith('orderMessageEnable'));
    expect(await shown()).toMatch(/=\s+false$/);
    expect(await admin('updateNamesrvConfig', '-k', 'orderMessageEnable', '-v', 'true')).toEqual([
      `update name server config success! ${embedded.namesrvAddr}`,
      'orderMessageEnable : true',
    ]);
    expect(await shown()).toMatch(/=\s+true$/);
    await admin('updateNamesrvConfig', '-k', 'orderMessageEnable', '-v', 'false');
    expect(await failing('updateNamesrvConfig', '-k', 'kvConfigPath', '-v', '/x')).toContain(
      'Can not update config in black list.',
    );
  });

  it('wipeWritePerm and addWritePerm close and open a broker for producers', async () => {
    await topicWith('Wiped', 'a');
    const perm = async () => cells((await admin('topicRoute', '-t', 'Wiped', '-l'))[1])[5];
    const [wiped] = await admin('wipeWritePerm', '-b', 'broker-a');
    expect(wiped).toMatch(
      new RegExp(`^wipe write perm of broker\\[broker-a\\] in name server\\[${embedded.namesrvAddr}\\] OK, \\d+$`),
    );
    expect(await perm()).toBe('4');
    const [added] = await admin('addWritePerm', '-b', 'broker-a');
    expect(added).toMatch(/^add write perm of broker\[broker-a\] in name server\[.*\] OK, \d+$/);
    expect(await perm()).toBe('6');
  });
});

it.each([
  [513, 'V5_5_0'],
  [413, 'V5_0_0'],
  [412, 'V5_0_0_SNAPSHOT'],
  [401, 'V4_9_4'],
  [409, 'V4_9_8'],
  [355, 'V4_7_1'],
  [233, 'V4_1_0'],
  [121, '121'],
  [612, 'HIGHER_VERSION'],
])('version %i is %s', (ordinal, name) => {
  expect(versionName(ordinal)).toBe(name);
});
