/** foldlog's own requests: round trips, and bodies that a peer might send instead. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/base/errors.js';
import * as events from '../../src/protocol/headers/events.js';
import * as reads from '../../src/protocol/headers/readEvents.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);

const topic = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
const offset = fc.maxSafeInteger().map(Math.abs);
const position = fc.record({ commitLogOffset: offset, generation: fc.nat() });
const expected = fc.oneof(
  fc.constantFrom<'ANY' | 'NO_STREAM' | 'STREAM_EXISTS'>('ANY', 'NO_STREAM', 'STREAM_EXISTS'),
  offset,
);
const keys = fc.array(fc.record({ topic, key: topic }), { maxLength: 5 });

const appendRequest = fc.record({
  appendId: topic,
  appendIdSince: fc.option(position, { nil: undefined }),
  bornTimestamp: fc.nat(),
  expectedVersions: fc.array(fc.record({ topic, stream: topic, expected }), { maxLength: 3 }),
  condition: fc.option(fc.record({ end: position, keys }), { nil: undefined }),
  events: fc.array(
    fc.record({
      topic,
      keys: fc.array(topic, { minLength: 1, maxLength: 3 }) as fc.Arbitrary<[string, ...string[]]>,
      body: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      propertiesText: fc.string({ unit: 'grapheme', maxLength: 40 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});

const response = (fields: {
  code: number;
  remark?: string | undefined;
  extFields?: Record<string, string>;
  body?: Buffer;
}) => ({
  code: fields.code,
  remark: fields.remark,
  extFields: fields.extFields ?? {},
  body: fields.body ?? Buffer.alloc(0),
});

describe('APPEND_EVENTS', () => {
  it('arrives as it was sent', () => {
    fc.assert(
      fc.property(appendRequest, (request) => {
        const { extFields, body } = events.encodeAppendEventsRequest(request);
        expect(events.decodeAppendEventsRequest(events.appendEventsHeader.decode(extFields), body)).toEqual(request);
      }),
      { numRuns: runs },
    );
  });

  it('costs little for one event of one stream', () => {
    const { body } = events.encodeAppendEventsRequest({
      appendId: 'a1',
      bornTimestamp: 1,
      expectedVersions: [{ topic: 'orders', stream: 'order:42', expected: 3 }],
      events: [{ topic: 'orders', keys: ['order:42'], body: Buffer.from('{}'), propertiesText: '' }],
    });
    expect(body).toHaveLength(2 + 8 + 10 + 8 + 1 + 2 + 8 + 2 + 10 + 4 + 2 + 2);
  });

  it('cut or changed anywhere is refused or decodes to something else, never crashes', () => {
    fc.assert(
      fc.property(appendRequest, fc.nat(), fc.nat(255), (request, at, byte) => {
        const { extFields, body } = events.encodeAppendEventsRequest(request);
        const header = events.appendEventsHeader.decode(extFields);
        const cut = body.subarray(0, at % body.length);
        expect(() => events.decodeAppendEventsRequest(header, cut)).toThrow(
          expect.objectContaining({ code: 'FRAME_INVALID' }),
        );
        body[at % body.length] = byte;
        try {
          events.decodeAppendEventsRequest(header, body);
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'FRAME_INVALID' });
        }
      }),
      { numRuns: runs },
    );
  });

  it('without events, or with an event without keys, is refused', () => {
    const header = { appendId: 'a', appendIdSince: undefined, appendIdGeneration: undefined, bornTimestamp: 0 };
    expect(() => events.decodeAppendEventsRequest(header, Buffer.alloc(5))).toThrow(/number of events/);
    const noKeys = Buffer.from('0000000001000154'.padEnd(40, '0'), 'hex');
    expect(() => events.decodeAppendEventsRequest(header, noKeys)).toThrow(/number of keys|bytes/);
  });

  it('answers any outcome', () => {
    const place = fc.record({ commitLogOffset: offset, queueId: fc.nat(), queueOffset: offset, version: offset });
    const outcome: fc.Arbitrary<events.AppendEventsOutcome> = fc.oneof(
      fc.record({
        status: fc.constantFrom<'APPENDED' | 'ALREADY_APPENDED'>('APPENDED', 'ALREADY_APPENDED'),
        generation: fc.nat(),
        storeTimestamp: fc.nat(),
        places: fc.array(place, { minLength: 1, maxLength: 4 }),
      }),
      fc.record({
        status: fc.constant('VERSION_CONFLICT' as const),
        topic,
        stream: topic,
        expected,
        actual: offset,
      }),
      fc.record({ status: fc.constant('CONDITION_CONFLICT' as const), topic, key: topic }),
    );
    fc.assert(
      fc.property(outcome, (sent) => {
        expect(events.decodeAppendEventsOutcome(response(events.encodeAppendEventsOutcome(sent)))).toEqual(sent);
      }),
      { numRuns: runs },
    );
  });

  it('refused by the broker is a BrokerError with its code and remark', () => {
    try {
      events.decodeAppendEventsOutcome(response({ code: 3, remark: ' request type 18601 not supported' }));
      expect.unreachable();
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(BrokerError);
      expect(thrown).toMatchObject({ responseCode: 3, remark: ' request type 18601 not supported' });
    }
  });

  it('answered with lists of unequal length is refused', () => {
    const fields = events.encodeAppendEventsOutcome({
      status: 'APPENDED',
      generation: 1,
      storeTimestamp: 2,
      places: [{ commitLogOffset: 1, queueId: 2, queueOffset: 3, version: 4 }],
    });
    const extFields = { ...fields.extFields, positions: '1,2' };
    expect(() => events.decodeAppendEventsOutcome(response({ ...fields, extFields }))).toThrow(/positions/);
  });
});

describe('READ_EVENTS', () => {
  const bound = fc.option(offset, { nil: undefined });
  const readRequest = fc.record({
    topics: fc.array(topic, { maxLength: 4 }),
    keys,
    ...{ from: bound, until: bound, fromTime: bound, untilTime: bound },
    known: fc.option(position, { nil: undefined }),
    direction: fc.constantFrom<'forwards' | 'backwards'>('forwards', 'backwards'),
    ...{ maxCount: fc.nat(), maxBytes: fc.nat() },
    holdMillis: fc.option(fc.nat(), { nil: undefined }),
  });

  it('arrives as it was sent, and so does its answer', () => {
    fc.assert(
      fc.property(readRequest, position, bound, fc.uint8Array(), (request, end, next, bytes) => {
        const { extFields, body } = reads.encodeReadEventsRequest(request);
        expect(reads.decodeReadEventsRequest(reads.readEventsHeader.decode(extFields), body)).toEqual(request);
        const answer = { end, next, records: Buffer.from(bytes) };
        expect(reads.decodeReadEventsResponse(response(reads.encodeReadEventsResponse(answer)))).toEqual(answer);
      }),
      { numRuns: runs },
    );
  });

  it('with an unknown direction or a cut body is refused, and another answer is an error', () => {
    const { extFields, body } = reads.encodeReadEventsRequest({
      ...{ topics: ['T'], keys: [], direction: 'forwards', maxCount: 1, maxBytes: 1 },
    });
    const header = reads.readEventsHeader.decode(extFields);
    expect(() => reads.decodeReadEventsRequest({ ...header, direction: 'sideways' }, body)).toThrow(/direction/);
    expect(() => reads.decodeReadEventsRequest(header, body.subarray(1))).toThrow(
      expect.objectContaining({ code: 'FRAME_INVALID' }),
    );
    expect(() => reads.decodeReadEventsResponse(response({ code: 18003, remark: 'lost' }))).toThrow(/POSITION_LOST/);
  });
});

describe('READ_BY_KEY', () => {
  const readRequest = fc.record({
    keys,
    from: fc.option(offset, { nil: undefined }),
    until: fc.option(offset, { nil: undefined }),
    direction: fc.constantFrom<'forwards' | 'backwards'>('forwards', 'backwards'),
    maxCount: fc.nat(),
    maxBytes: fc.nat(),
  });

  it('arrives as it was sent, and so does its answer', () => {
    fc.assert(
      fc.property(
        readRequest,
        position,
        fc.option(offset, { nil: undefined }),
        fc.uint8Array(),
        (request, end, next, bytes) => {
          const { extFields, body } = events.encodeReadByKeyRequest(request);
          expect(events.decodeReadByKeyRequest(events.readByKeyHeader.decode(extFields), body)).toEqual(request);
          const answer = { end, next, records: Buffer.from(bytes) };
          expect(events.decodeReadByKeyResponse(response(events.encodeReadByKeyResponse(answer)))).toEqual(answer);
        },
      ),
      { numRuns: runs },
    );
  });

  it('with an unknown direction or a cut body is refused', () => {
    const header = { from: undefined, until: undefined, direction: 'sideways', maxCount: 1, maxBytes: 1 };
    expect(() => events.decodeReadByKeyRequest(header, Buffer.alloc(2))).toThrow(/direction/);
    expect(() => events.decodeReadByKeyRequest({ ...header, direction: 'forwards' }, Buffer.alloc(1))).toThrow(
      expect.objectContaining({ code: 'FRAME_INVALID' }),
    );
  });
});
