/** Random commands for property tests. */
import fc from 'fast-check';
import type { RemotingCommand, SerializeType } from '../../src/protocol/remotingCommand.js';

export function command(parts: Partial<RemotingCommand>): RemotingCommand {
  return {
    code: 0,
    language: 'OTHER',
    version: 513,
    opaque: 1,
    flag: 0,
    remark: undefined,
    extFields: {},
    body: Buffer.alloc(0),
    serializeType: 'JSON',
    ...parts,
  };
}

// Any code point but lone surrogates, which have no UTF-8 form.
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
const int16 = fc.integer({ min: -32768, max: 32767 });
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

export function remotingCommand(serializeType?: SerializeType): fc.Arbitrary<RemotingCommand> {
  return fc.record({
    code: int16,
    language: fc.constantFrom('JAVA', 'GO', 'OTHER', 'NODE_JS'),
    version: int16,
    opaque: int32,
    flag: int32,
    remark: fc.option(text, { nil: undefined }),
    extFields: fc.dictionary(text, text, { noNullPrototype: true }),
    body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    serializeType: serializeType ? fc.constant(serializeType) : fc.constantFrom<SerializeType>('JSON', 'ROCKETMQ'),
  });
}
