import { IsString } from 'class-validator';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventCodec, type EventMessage } from '../../src/eventstore/eventCodec.js';
import { decodeKey, encodeKey } from '../../src/eventstore/eventKeys.js';
import type { EventToAppend } from '../../src/eventstore/eventTypes.js';
import { Event, event, Filterable, OptionsError } from '../../src/index.js';
import { decodeProperties } from '../../src/protocol/messageProperties.js';
import { OrderPlaced, OrderShipped } from '../support/orders.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);
const codec = new EventCodec([OrderPlaced, OrderShipped]);

/** What a consumer gets of an encoded event. */
function delivered(stream: string, given: EventToAppend, changes: Partial<EventMessage> = {}): EventMessage {
  const { body, propertiesText } = codec.encode(stream, given, 1_000);
  const properties: Record<string, string> = {
    ...decodeProperties(propertiesText),
    UNIQ_KEY: 'append-0',
    FL_VERSION: '3',
  };
  return {
    body,
    properties,
    bornTimestamp: 1_000,
    storeTimestamp: 2_000,
    brokerName: 'broker-a',
    commitLogOffset: 400,
    msgId: 'append-0',
    originalTopic: 'orders',
    queueId: 2,
    queueOffset: 7,
    tags: properties['TAGS'],
    ...changes,
  };
}

const placed = { event: event(OrderPlaced, { customer: 'c', cents: 100, country: 'DE' }) };

describe('EventCodec', () => {
  it('writes type, keys, metadata and filterable fields as message properties', () => {
    const encoded = codec.encode(
      'order:4 2',
      { ...placed, keys: ['customer:c', 'order:4 2'], actor: 'ada', correlationId: 'r1', causationId: 'r0' },
      1_000,
    );
    expect(encoded.keys).toEqual(['order:4%202', 'customer:c']);
    expect(decodeProperties(encoded.propertiesText)).toEqual({
      KEYS: 'order:4%202 customer:c',
      TAGS: 'OrderPlaced',
      FL_SCHEMA: '1',
      FL_OCCURRED: '1000',
      FL_ACTOR: 'ada',
      FL_CORRELATION: 'r1',
      FL_CAUSATION: 'r0',
      cents: '100',
      country: 'DE',
    });
    expect(JSON.parse(encoded.body.toString())).toEqual({ customer: 'c', cents: 100, country: 'DE' });
  });

  it('reads the event back with all that is known of it', () => {
    const occurredAt = new Date('2016-04-01T00:00:00Z');
    const decoded = codec.decode(delivered('order:42', { ...placed, keys: ['x y'], occurredAt, actor: 'ada' }), 5);
    expect(decoded).toEqual({
      status: 'EVENT',
      recorded: {
        event: placed.event,
        type: 'OrderPlaced',
        schemaVersion: 1,
        eventId: 'append-0',
        topic: 'orders',
        stream: 'order:42',
        version: 3,
        position: { commitLogOffset: 400, generation: 5, brokerName: 'broker-a', queueId: 2, queueOffset: 7 },
        occurredAt,
        storedAt: new Date(2_000),
        keys: ['order:42', 'x y'],
        correlationId: undefined,
        causationId: undefined,
        actor: 'ada',
      },
    });
  });

  it('leaves out filterable fields that are absent, empty or null', () => {
    const made = event(OrderPlaced, { customer: 'c', cents: 1 });
    expect(decodeProperties(codec.encode('s', { event: made }, 1).propertiesText)).not.toHaveProperty('country');
  });

  it('answers UNKNOWN_TYPE for a tag that no class has', () => {
    expect(codec.decode(delivered('s', placed, { tags: 'Other' }), 1)).toEqual({
      status: 'UNKNOWN_TYPE',
      type: 'Other',
    });
    expect(codec.decode(delivered('s', placed, { tags: undefined }), 1)).toEqual({ status: 'UNKNOWN_TYPE', type: '' });
  });

  const BODIES: [what: string, body: string, reason: RegExp][] = [
    ['no JSON', '{', /JSON/],
    ['an array', '[]', /not a JSON object/],
    ['null', 'null', /not a JSON object/],
    ['a missing field', '{"customer":"c"}', /cents: /],
    ['a wrong field', '{"customer":"c","cents":-1}', /cents: cents must not be less than 1/],
    ['a prototype', '{"customer":"c","cents":1,"__proto__":{"polluted":1}}', /__proto__/],
    ['a class', '{"customer":"c","cents":-1,"constructor":1}', /constructor/],
    ['nothing', '', /JSON/],
  ];
  it.each(BODIES)('answers INVALID with the reasons for a body that is %s', (_what, body, reason) => {
    const decoded = codec.decode(delivered('s', placed, { body: Buffer.from(body) }), 1);
    expect(decoded).toMatchObject({ status: 'INVALID', type: 'OrderPlaced' });
    expect(decoded.status === 'INVALID' && decoded.reasons.join()).toMatch(reason);
  });

  it('refuses fields of a newer version than the class', () => {
    const message = delivered('s', placed);
    const decoded = codec.decode({ ...message, properties: { ...message.properties, FL_SCHEMA: '2' } }, 1);
    expect(decoded.status === 'INVALID' && decoded.reasons[0]).toContain('version 2');
  });

  it('keeps fields that a newer program has added', () => {
    const body = Buffer.from('{"customer":"c","cents":1,"gift":true}');
    expect(codec.decode(delivered('s', placed, { body }), 1)).toMatchObject({ recorded: { event: { gift: true } } });
  });

  it('reads a plain message without metadata: no version, occurred when it was sent', () => {
    const decoded = codec.decode(delivered('s', placed, { properties: {} }), 1);
    expect(decoded).toMatchObject({ recorded: { version: 0, stream: '', occurredAt: new Date(1_000), keys: [] } });
  });

  it('never throws on random bodies', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
        expect(['EVENT', 'INVALID']).toContain(
          codec.decode(delivered('s', placed, { body: Buffer.from(body) }), 1).status,
        );
      }),
      { numRuns: RUNS },
    );
  });

  it('refuses two classes with one type, naming both', () => {
    @Event({ type: 'OrderPlaced' })
    class Impostor {}
    expect(() => new EventCodec([OrderPlaced, Impostor])).toThrow(/OrderPlaced .* OrderPlaced and Impostor/);
    expect(() => new EventCodec([OrderPlaced, OrderPlaced])).not.toThrow();
  });

  it('refuses an event that the application does not know', () => {
    @Event({ type: 'Stray' })
    class Stray {}
    expect(() => codec.encode('s', { event: event(Stray, {}) }, 1)).toThrow(OptionsError);
    expect(() => codec.encode('s', { event: event(Stray, {}) }, 1)).toThrow(/Stray .* list it in `events`/);
  });

  it('checks instances that were made by hand', () => {
    const byHand = Object.assign(new OrderPlaced(), { customer: 'c', cents: 0 });
    expect(() => codec.encode('s', { event: byHand }, 1)).toThrow(/cents must not be less than 1/);
  });

  it('refuses filterable fields that cannot be a property', () => {
    @Event({ type: 'Wild' })
    class Wild {
      @IsString() @Filterable() text!: string;
    }
    const wild = new EventCodec([Wild]);
    expect(() => wild.encode('s', { event: event(Wild, { text: 'a\u0001b' }) }, 1)).toThrow(/text: .*0x01/);
    @Event({ type: 'Wilder' })
    class Wilder {
      @Filterable() list: string[] = [];
    }
    expect(() => new EventCodec([Wilder]).encode('s', { event: event(Wilder, { list: ['x'] }) }, 1)).toThrow(/list: /);
  });
});

describe('encodeKey', () => {
  it('is undone by decodeKey, and never holds a blank', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 30 }), (key) => {
        const encoded = encodeKey(key);
        expect(encoded).not.toContain(' ');
        expect(decodeKey(encoded)).toBe(key);
      }),
      { numRuns: RUNS },
    );
  });

  it('refuses empty and overlong keys', () => {
    expect(() => encodeKey('')).toThrow(OptionsError);
    expect(() => encodeKey('x'.repeat(1_001))).toThrow(OptionsError);
  });
});
