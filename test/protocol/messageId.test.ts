import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeOffsetMsgId,
  encodeOffsetMsgId,
  offsetMsgIdOf,
  preferredHost,
  UniqKeyGenerator,
} from '../../src/protocol/messageId.js';
import { packHost } from '../../src/protocol/messageRecord.js';
import { ManualClock } from '../support/manualClock.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);

describe('offsetMsgId', () => {
  it('is the one that Apache RocketMQ gives', () => {
    const host = { host: '10.0.0.2', port: 10911 };
    expect(encodeOffsetMsgId(packHost(host), 1000)).toBe('0A00000200002A9F00000000000003E8');
    expect(decodeOffsetMsgId('0A00000200002A9F00000000000003E8')).toEqual({ host, commitLogOffset: 1000 });
  });

  it('comes back for every host and offset', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.constant('fd00:0:0:0:0:0:0:2')),
        fc.nat(65535),
        fc.maxSafeInteger().map(Math.abs),
        (host, port, offset) => {
          const id = encodeOffsetMsgId(packHost({ host, port }), offset);
          expect(decodeOffsetMsgId(id)).toEqual({ host: { host, port }, commitLogOffset: offset });
          expect(offsetMsgIdOf({ host, port }, offset)).toBe(id);
        },
      ),
      { numRuns: runs },
    );
  });

  it.each(['', 'x', '0A00000200002A9F00000000000003E', 'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'])('%j is none', (id) =>
    expect(decodeOffsetMsgId(id)).toBeUndefined(),
  );
});

describe('UNIQ_KEY', () => {
  const start = new Date(2026, 0, 31, 23, 59, 59, 0).getTime();
  const parts = (id: string) => ({
    processId: id.slice(8, 12),
    constant: id.slice(12, 20),
    millisOfMonth: Number.parseInt(id.slice(20, 28), 16),
    count: Number.parseInt(id.slice(28), 16),
  });

  it('holds address, process, constant, millis of the month and a count', () => {
    const clock = new ManualClock(start);
    const keys = new UniqKeyGenerator({ clock, host: '10.0.0.1', processId: 0x1234c, constant: 0x30946e09 });
    const id = keys.next();
    expect(id).toMatch(/^0A000001234C30946E09[0-9A-F]{8}0000$/);
    const firstOfMonth = new Date(2026, 0, 1).getTime();
    expect(parts(id).millisOfMonth).toBe(start - firstOfMonth);
    expect(parts(keys.next()).count).toBe(1);
    // The month turns.
    clock.advance(1500);
    expect(parts(keys.next())).toMatchObject({ millisOfMonth: 500, count: 2 });
  });

  it('has 56 characters for an IPv6 address', () => {
    expect(new UniqKeyGenerator({ host: 'fd00::2', processId: 1 }).next()).toMatch(/^FD000{27}20001[0-9A-F]{20}$/);
  });

  it('repeats no key while the count goes round, and starts over after 65,536', () => {
    const keys = new UniqKeyGenerator({ clock: new ManualClock(start), host: '10.0.0.1', processId: 1 });
    const ids = new Set(Array.from({ length: 65_536 }, () => keys.next()));
    expect(ids.size).toBe(65_536);
    expect(ids).toContain(keys.next());
  });

  it('of two generators in one process differ', () => {
    const options = { clock: new ManualClock(start), host: '10.0.0.1', processId: 1 };
    expect(new UniqKeyGenerator(options).next()).not.toBe(new UniqKeyGenerator(options).next());
  });
});

describe('preferredHost', () => {
  const entry = (address: string, internal = false) => ({
    address,
    family: address.includes(':') ? 'IPv6' : 'IPv4',
    internal,
  });

  it.each([
    [['127.0.0.1', '10.0.0.5', '203.0.113.7'], '203.0.113.7'],
    [['192.168.1.2', 'fe80::1'], '192.168.1.2'],
    [['172.16.0.1', 'fd00::2'], 'fd00::2'],
    [['172.32.0.1'], '172.32.0.1'],
    [[], '127.0.0.1'],
  ])('of %j is %s', (addresses, expected) => {
    expect(preferredHost(addresses.map((address) => entry(address, address === '127.0.0.1')))).toBe(expected);
  });
});
