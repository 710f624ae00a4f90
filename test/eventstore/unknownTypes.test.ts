import { beforeEach, describe, expect, it } from 'vitest';
import { UnknownTypes } from '../../src/eventstore/unknownTypes.js';
import { silentLogger } from '../../src/index.js';
import { ManualClock } from '../support/manualClock.js';

let clock: ManualClock;
let warned: { type: string; count: number }[];
let types: UnknownTypes;

beforeEach(() => {
  clock = new ManualClock();
  warned = [];
  const warn = (fields: object) => void warned.push(fields as { type: string; count: number });
  types = new UnknownTypes({ clock, logger: { ...silentLogger, warn } });
});

const meet = (tags: string | undefined, properties: Record<string, string> = { FL_SCHEMA: '1' }) =>
  types.met({ brokerName: 'b', commitLogOffset: 7, msgId: `${tags}-0`, originalTopic: 't', properties, tags });

describe('UnknownTypes', () => {
  it('warns of each type once, with how many were met until then', () => {
    meet('A');
    meet('A');
    meet('B');
    expect(warned).toEqual([]);
    clock.advance(2_000);
    expect(warned.map(({ type, count }) => [type, count])).toEqual([
      ['A', 2],
      ['B', 1],
    ]);
    meet('A');
    meet('C');
    clock.advance(10_000);
    types.close();
    expect(warned.map(({ type }) => type)).toEqual(['A', 'B', 'C']);
    expect(types.list().map(({ type, count }) => [type, count])).toEqual([
      ['A', 3],
      ['B', 1],
      ['C', 1],
    ]);
    expect(types.list()[0]).toEqual({
      ...{ type: 'A', count: 3, topic: 't', brokerName: 'b', commitLogOffset: 7, eventId: 'A-0' },
    });
  });

  it('warns at the end of what was met just before, and leaves no timer', () => {
    meet('A');
    expect(clock.pendingCount).toBe(1);
    types.close();
    expect([warned.length, clock.pendingCount]).toEqual([1, 0]);
  });

  it('does not count what is no event', () => {
    meet('A', {});
    expect([types.list(), clock.pendingCount]).toEqual([[], 0]);
    meet('A', { FL_VERSION: '3' });
    expect(types.list()).toHaveLength(1);
  });

  it('counts the types beyond its bound as one', () => {
    for (let index = 0; index < 1_010; index += 1) meet(`T${index}`);
    expect(types.list()).toHaveLength(1_001);
    expect(types.list().at(-1)).toMatchObject({ type: '…', count: 10 });
  });
});
