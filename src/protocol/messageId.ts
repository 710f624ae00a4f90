/**
 * The two ids of a message. The offsetMsgId names a record: the broker that stored it and its commitLogOffset. The
 * UNIQ_KEY is made by the producer and stays the same when a send is repeated. Both are upper-case hex. Upstream:
 * `MessageDecoder.createMessageId`, `MessageClientIDSetter`.
 *
 *     offsetMsgId: address 4 | 16, int32 port, int64 commitLogOffset                                 32 | 56 characters
 *     UNIQ_KEY:    address 4 | 16, int16 process, int32 constant, int32 millis of month, int16 count  32 | 56 characters
 */
import { randomInt } from 'node:crypto';
import { readInt64Loose, writeInt64 } from '../base/bytes.js';
import type { Clock } from '../base/clock.js';
import { systemClock } from '../base/clock.js';
import type { CommitLogOffset } from '../base/flavours.js';
import type { HostAddress } from './message.js';
import { packHost, unpackHostAt } from './messageRecord.js';

const HEX_BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).toUpperCase().padStart(2, '0'),
);

const hexByte = (byte: number): string => HEX_BYTES[byte] ?? '';

/** The low 32 bits of an integer as eight upper-case digits. */
export function hex32(value: number): string {
  return hexByte(value >>> 24) + hexByte((value >>> 16) & 0xff) + hexByte((value >>> 8) & 0xff) + hexByte(value & 0xff);
}

/** @param packedHost address and port of the store, as packHost makes it */
export function encodeOffsetMsgId(packedHost: Buffer, commitLogOffset: CommitLogOffset): string {
  const bytes = Buffer.allocUnsafe(packedHost.length + 8);
  packedHost.copy(bytes);
  writeInt64(bytes, commitLogOffset, packedHost.length);
  return bytes.toString('hex').toUpperCase();
}

let lastStore: { host: string; port: number; hex: string } | undefined;

/** The same of a store's address. That of the last call is kept in its form: what is read comes from one or two stores. */
export function offsetMsgIdOf({ host, port }: HostAddress, commitLogOffset: CommitLogOffset): string {
  if (lastStore?.host !== host || lastStore.port !== port) {
    lastStore = { host, port, hex: packHost({ host, port }).toString('hex').toUpperCase() };
  }
  return lastStore.hex + hex32(Math.floor(commitLogOffset / TWO_POW_32)) + hex32(commitLogOffset);
}

const TWO_POW_32 = 0x1_0000_0000;

/** Undefined for a text that is no such id (a UNIQ_KEY of the same length reads as one: its place does not exist). */
export function decodeOffsetMsgId(id: string): { host: HostAddress; commitLogOffset: CommitLogOffset } | undefined {
  if (!/^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/.test(id)) return undefined;
  const bytes = Buffer.from(id, 'hex');
  const commitLogOffset = readInt64Loose(bytes, bytes.length - 8);
  if (!Number.isSafeInteger(commitLogOffset) || commitLogOffset < 0) return undefined;
  return { host: unpackHostAt(bytes, 0, bytes.length - 8), commitLogOffset };
}

export interface UniqKeyOptions {
  clock?: Clock;
  /** Address of this machine; see {@link preferredHost}. */
  host: string;
  processId: number;
  /** Tells generators of one process apart. Default random. */
  constant?: number;
}

/** A clock that was set back by less than this does not make the time within the month negative. */
const SMALL_STEP_BACK_MILLIS = 1_000_000;

export class UniqKeyGenerator {
  readonly #clock: Clock;
  /** Address, process and constant: the same in every id. */
  readonly #fixedPart: string;
  /** The ids of one millisecond differ only in their count. */
  #partOfMillis = '';
  #millisOfMonth = Number.NaN;
  #monthStart = 0;
  #nextMonthStart = 0;
  #count = 0;

  constructor({ clock = systemClock, host, processId, constant = randomInt(2 ** 31) }: UniqKeyOptions) {
    this.#clock = clock;
    const packed = packHost({ host, port: 0 });
    const fixed = Buffer.alloc(packed.length - 4 + 6);
    packed.copy(fixed, 0, 0, packed.length - 4);
    fixed.writeUInt16BE(processId & 0xffff, fixed.length - 6);
    fixed.writeInt32BE(constant | 0, fixed.length - 4);
    this.#fixedPart = fixed.toString('hex').toUpperCase();
  }

  next(): string {
    const now = this.#clock.now();
    if (now >= this.#nextMonthStart) this.#startMonth(now);
    let millisOfMonth = now - this.#monthStart;
    if (millisOfMonth < 0 && millisOfMonth > -SMALL_STEP_BACK_MILLIS) millisOfMonth = 0;
    if (millisOfMonth !== this.#millisOfMonth) {
      this.#millisOfMonth = millisOfMonth;
      this.#partOfMillis = this.#fixedPart + hex32(millisOfMonth);
    }
    const count = this.#count;
    this.#count = (count + 1) & 0xffff;
    return this.#partOfMillis + hexByte(count >> 8) + hexByte(count & 0xff);
  }

  /** Local midnight of the first day, as upstream's calendar has it. */
  #startMonth(now: number): void {
    const today = new Date(now);
    this.#monthStart = new Date(today.getFullYear(), today.getMonth(), 1).getTime();
    this.#nextMonthStart = new Date(today.getFullYear(), today.getMonth() + 1, 1).getTime();
  }
}

/** An entry of os.networkInterfaces(). */
export interface InterfaceAddress {
  address: string;
  family: string;
  internal: boolean;
}

const PRIVATE_V4 = /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/;

/**
 * The address by which this machine calls itself: the first public IPv4 or IPv6 that is not link-local, else the first
 * private IPv4, else loopback. Upstream: `UtilAll.getIP`, `RemotingUtil.getLocalAddress`.
 */
export function preferredHost(addresses: Iterable<InterfaceAddress>): string {
  let privateHost: string | undefined;
  for (const { address, family, internal } of addresses) {
    if (internal) continue;
    if (family === 'IPv4' && PRIVATE_V4.test(address)) privateHost ??= address;
    else if (family === 'IPv4' || !/^fe[89ab]/i.test(address)) return address;
  }
  return privateHost ?? '127.0.0.1';
}
