import { describe, expect, it } from 'vitest';
import { OptionsError } from '../../src/base/errors.js';
import { BROKER_ACCEPTED_KEYS } from '../../src/config/brokerAcceptedKeys.js';
import { BROKER_TABLE, defaultBrokerConfig, readBrokerConfig } from '../../src/config/brokerConfig.js';
import { BROKER_KEYS } from '../../src/config/brokerKeys.js';
import type { ConfigTable } from '../../src/config/configRows.js';
import { NAMESRV_TABLE } from '../../src/config/namesrvConfig.js';
import { printConfig } from '../../src/config/readConfig.js';

const read = (text: string) => readBrokerConfig({ file: 'broker.conf', text });

/** The message of the OptionsError that reading the text throws. */
function refusal(text: string): string {
  try {
    read(text);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(OptionsError);
    return (thrown as OptionsError).message;
  }
  throw new Error(`${text} was read`);
}

describe.each<[string, ConfigTable]>([
  ['broker.conf', BROKER_TABLE],
  ['namesrv.conf', NAMESRV_TABLE],
])('the table of %s', (_name, table) => {
  it.each(Object.keys(table))('%s: the default is allowed and is read back as it is', (key) => {
    const row = table[key]!;
    expect(row.parse(String(row.default))).toBe(row.default);
    expect(row.refusal?.(row.default)).toBeUndefined();
    expect(row.meaning).not.toBe('');
    expect(row.allowed).not.toBe('');
  });
});

describe('broker configuration', () => {
  it('has each key once: it takes effect or is accepted, not both', () => {
    const twice = Object.keys(BROKER_KEYS).filter((key) => key in BROKER_ACCEPTED_KEYS);
    expect(twice).toEqual([]);
  });

  it('reads a broker.conf as Apache ships it', () => {
    const { config, warnings } = read(
      [
        'brokerClusterName = DefaultCluster',
        'brokerName = broker-a',
        'brokerId = 0',
        'deleteWhen = 04',
        'fileReservedTime = 48',
        'brokerRole = ASYNC_MASTER',
        'flushDiskType = SYNC_FLUSH',
      ].join('\n'),
    );
    expect(config).toMatchObject({
      flushDiskType: 'SYNC_FLUSH',
      brokerName: 'broker-a',
      deleteWhen: '04',
      fileReservedTime: 48,
    });
    expect(warnings).toEqual([]);
  });

  it('differs from RocketMQ in these defaults only where the embedded use needs it', () => {
    expect(defaultBrokerConfig()).toMatchObject({
      enablePropertyFilter: true,
      bindAddress: '127.0.0.1',
      brokerIP1: '127.0.0.1',
      brokerName: 'broker-a',
      listenPort: 10911,
      maxMessageSize: 4194304,
      sendThreadPoolQueueCapacity: 10000,
      pullThreadPoolQueueCapacity: 100000,
    });
  });

  it('names file, line and the nearest known key for an unknown one', () => {
    expect(refusal('# comment\n\nlistenprot=1')).toBe(
      'broker.conf:3: unknown key listenprot; the nearest known key is listenPort',
    );
    expect(refusal('toString=1')).toContain('unknown key toString');
  });

  it.each([
    ['listenPort=65536', 'a whole number from 0 to 65535'],
    ['listenPort=1e3', 'a whole number from 0 to 65535'],
    ['longPollingEnable=yes', 'true or false'],
    ['flushDiskType=SOMETIMES', 'ASYNC_FLUSH or SYNC_FLUSH'],
    ['messageDelayLevel=1s 5x', 'up to 100 delays such as "1s 5s 1m 2h 1d"'],
    ['namesrvAddr=localhost', 'addresses HOST:PORT, separated by ;'],
    ['brokerName=', 'a name without blanks'],
    ['fileReservedTime=-1', 'a whole number from 0 to 2147483647'],
    ['deleteWhen=04;24', 'hours from 00 to 23, separated by ;'],
    ['deleteWhen=4am', 'hours from 00 to 23, separated by ;'],
    ['diskMaxUsedSpaceRatio=101', 'a whole number from 0 to 100'],
    ['cleanFileForciblyEnable=1', 'true or false'],
    ['haListenPort=abc', 'a whole number'],
  ])('%s: says what is allowed', (line, allowed) => {
    expect(refusal(line)).toBe(`broker.conf:1: ${line} is not allowed: it must be ${allowed}`);
  });

  it.each([
    ['brokerRole=SLAVE', 'replication is not available'],
    ['authenticationEnabled=true', 'everybody would be let in'],
    ['enableControllerMode=true', 'controller mode is not available'],
    ['storeType=defaultRocksDB', 'it must be default'],
    ['storePathCommitLog=/elsewhere', 'commitlog under the store'],
  ])('%s is refused at once', (line, reason) => {
    expect(refusal(line)).toContain(reason);
  });

  it('accepts keys without meaning here with one warning line each', () => {
    const { warnings } = read('sendMessageThreadPoolNums=16\nhaListenPort=10912\nlistenPort=1');
    expect(warnings).toEqual([
      'broker.conf:1: sendMessageThreadPoolNums has no effect: one event loop does the work of the thread pools',
      'broker.conf:2: haListenPort has no effect: replication is not available in this version',
    ]);
  });

  it('lets flags win over the file and the last line over an earlier one', () => {
    const source = { file: 'broker.conf', text: 'listenPort=1\nlistenPort=2\nbrokerName=b' };
    expect(readBrokerConfig(source).config.listenPort).toBe(2);
    expect(readBrokerConfig(source, { listenPort: 3 }).config).toMatchObject({ listenPort: 3, brokerName: 'b' });
  });

  it('announces the bind address, the local one when listening everywhere, and what is set before both', () => {
    const announced = (text: string, local?: string) =>
      readBrokerConfig({ file: 'f', text }, {}, local).config.brokerIP1;
    expect(announced('bindAddress=10.1.2.3')).toBe('10.1.2.3');
    expect(announced('bindAddress=0.0.0.0', '10.9.9.9')).toBe('10.9.9.9');
    expect(announced('bindAddress=0.0.0.0\nbrokerIP1=10.7.7.7', '10.9.9.9')).toBe('10.7.7.7');
    expect(() => announced('bindAddress=0.0.0.0')).toThrow('set brokerIP1');
  });

  it('keeps a master at id 0, the registration period and the consume queue size within their rules', () => {
    const { config, warnings } = read('brokerId=3\nregisterNameServerPeriod=1\nmappedFileSizeConsumeQueue=1001');
    expect(config).toMatchObject({
      brokerId: 0,
      registerNameServerPeriod: 10_000,
      mappedFileSizeConsumeQueue: 1020,
    });
    expect(warnings).toEqual(['brokerId=3 is taken as 0: a broker with role ASYNC_MASTER is a master']);
  });

  it('holds the options of a program to the same rules', () => {
    expect(defaultBrokerConfig({ listenPort: 0, flushDiskType: 'SYNC_FLUSH' }).listenPort).toBe(0);
    expect(() => defaultBrokerConfig({ listenPort: 70_000 })).toThrow('listenPort=70000 is not allowed');
    expect(() => defaultBrokerConfig({ brokerRole: 'SLAVE' })).toThrow('replication is not available');
    expect(() => defaultBrokerConfig({ listenPrt: 1 } as object)).toThrow('unknown key listenPrt');
    expect(() => defaultBrokerConfig({ listenPort: '1' } as object)).toThrow('listenPort=1 is not allowed');
  });

  it('takes the keys of retention as RocketMQ has them, and keeps the ratios within its bounds', () => {
    expect(defaultBrokerConfig()).toMatchObject({
      fileReservedTime: 72,
      deleteWhen: '04',
      cleanResourceInterval: 10_000,
      deleteCommitLogFilesInterval: 100,
      deleteFileBatchMax: 10,
      diskMaxUsedSpaceRatio: 75,
      cleanFileForciblyEnable: true,
      diskSpaceCleanForciblyRatio: 85,
      diskSpaceWarningLevelRatio: 90,
    });
    expect(read('deleteWhen=').config.deleteWhen).toBe('');
    expect(read('deleteWhen=4; 16').config.deleteWhen).toBe('4; 16');
    const { config, warnings } = read(
      'diskSpaceWarningLevelRatio=95\ndiskSpaceCleanForciblyRatio=20\ndiskMaxUsedSpaceRatio=99',
    );
    expect(config).toMatchObject({
      diskSpaceWarningLevelRatio: 90,
      diskSpaceCleanForciblyRatio: 30,
      diskMaxUsedSpaceRatio: 95,
    });
    expect(warnings).toContain('diskSpaceWarningLevelRatio=95 is taken as 90: it is kept within 35 to 90');
    expect(warnings).toHaveLength(3);
  });

  it('prints what it reads', () => {
    const { config } = read('brokerName=b\nmaxMessageSize=1000');
    const printed = printConfig(config);
    expect(read(printed).config).toEqual(config);
    const keys = printed
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(keys).toEqual([...keys].sort());
    expect(keys).toHaveLength(Object.keys(BROKER_TABLE).length);
  });
});
