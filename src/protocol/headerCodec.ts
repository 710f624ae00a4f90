/**
 * The header of a frame as bytes, in both of its forms. JSON is written member by member in the order that Apache's
 * encoder gives (sorted names, null left out) and read tolerantly: any order, unknown members, numbers and booleans as
 * field values. Upstream: `RemotingCommand.headerEncode`, `RocketMQSerializable`.
 *
 *     ROCKETMQ form   bytes
 *     code            2
 *     language        1      index in LANGUAGES
 *     version         2
 *     opaque          4
 *     flag            4
 *     remark          4 + n  0 = none
 *     extFields       4 + m  entries: int16 n, name, int32 n, value; empty names and values count as absent
 */
import { FoldlogError } from '../base/errors.js';
import { ByteReader } from './byteReader.js';
import type { RemotingCommand, SerializeType } from './remotingCommand.js';

/** A command without what lies outside its header. */
export type DecodedHeader = Omit<RemotingCommand, 'body'>;

/** LanguageCode by its byte. */
const LANGUAGES = [
  'JAVA',
  'CPP',
  'DOTNET',
  'PYTHON',
  'DELPHI',
  'ERLANG',
  'RUBY',
  'OTHER',
  'HTTP',
  'GO',
  'PHP',
  'OMS',
  'RUST',
  'NODE_JS',
] as const;
const NO_BODY = Buffer.alloc(0);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OTHER_LANGUAGE = LANGUAGES.indexOf('OTHER');
const LANGUAGE_BYTES = new Map<string, number>(LANGUAGES.map((name, byte) => [name, byte]));

/** The form that the command's header takes: a code beyond 16 bits does not fit the binary one and goes as JSON. */
export function headerTypeOf(command: DecodedHeader): SerializeType {
  return command.serializeType === 'ROCKETMQ' && command.code === (command.code << 16) >> 16 ? 'ROCKETMQ' : 'JSON';
}

export function encodeHeader(command: DecodedHeader): Buffer {
  return headerTypeOf(command) === 'ROCKETMQ' ? encodeBinaryHeader(command) : Buffer.from(encodeJsonHeader(command));
}

/** The command whose header is [start, end) of `bytes`. Throws FRAME_INVALID. */
export function decodeHeader(
  bytes: Buffer,
  serializeType: SerializeType,
  start = 0,
  end = bytes.length,
  body: Buffer = NO_BODY,
): RemotingCommand {
  return serializeType === 'ROCKETMQ'
    ? decodeBinaryHeader(bytes.subarray(start, end), body)
    : decodeJsonHeader(bytes.toString('utf8', start, end), body);
}

/** The JSON form as text. */
export function encodeJsonHeader(command: DecodedHeader): string {
  const { extFields, remark } = command;
  let fields = '';
  for (const name in extFields) {
    const value = extFields[name];
    if (value !== undefined) fields += `${fields === '' ? '' : ','}${quote(name)}:${quote(value)}`;
  }
  return `{"code":${command.code}${fields === '' ? '' : `,"extFields":{${fields}}`},"flag":${command.flag},"language":${quote(command.language)},"opaque":${command.opaque}${remark === undefined ? '' : `,"remark":${quote(remark)}`},"serializeTypeCurrentRPC":"JSON","version":${command.version}}`;
}

// Most values need no escape, and asking costs a tenth of JSON.stringify.
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

/**
 * Writes the JSON form at a position and returns the one after it; -1 when it does not fit or a text needs an escape, and
 * then {@link encodeJsonHeader} serves. Character by character: for headers of usual size that takes less time than joining
 * strings, and leaves no garbage.
 */
export function writeJsonHeader(target: Buffer, at: number, command: DecodedHeader): number {
  const { extFields, remark } = command;
  let next = putDigits(target, putConstant(target, at, '{"code":'), command.code);
  let hasFields = false;
  for (const name in extFields) {
    const value = extFields[name];
    if (value === undefined) continue;
    next = putConstant(target, next, hasFields ? '","' : ',"extFields":{"');
    next = putPlain(target, next, name);
    next = putConstant(target, next, '":"');
    next = putPlain(target, next, value);
    hasFields = true;
  }
  next = putDigits(target, putConstant(target, next, hasFields ? '"},"flag":' : ',"flag":'), command.flag);
  next = putPlain(target, putConstant(target, next, ',"language":"'), command.language);
  next = putDigits(target, putConstant(target, next, '","opaque":'), command.opaque);
  if (remark !== undefined) {
    next = putPlain(target, putConstant(target, next, ',"remark":"'), remark);
    next = putConstant(target, next, '"');
  }
  next = putConstant(target, next, ',"serializeTypeCurrentRPC":"JSON","version":');
  return putConstant(target, putDigits(target, next, command.version), '}');
}

const putDigits = (target: Buffer, at: number, value: number): number => putConstant(target, at, String(value));

/** ASCII that needs no look. */
function putConstant(target: Buffer, at: number, text: string): number {
  const { length } = text;
  if (at < 0 || at + length > target.length) return -1;
  for (let index = 0; index < length; index += 1) target[at + index] = text.charCodeAt(index);
  return at + length;
}

/** The inside of a quoted text, where every character stands for itself. */
function putPlain(target: Buffer, at: number, text: string): number {
  const { length } = text;
  if (at < 0 || at + length > target.length) return -1;
  for (let index = 0; index < length; index += 1) {
    const character = text.charCodeAt(index);
    if (character < 0x20 || character > 0x7e || character === QUOTE || character === BACKSLASH) return -1;
    target[at + index] = character;
  }
  return at + length;
}

function decodeJsonHeader(text: string, body: Buffer): RemotingCommand {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (thrown) {
    throw new FoldlogError('FRAME_INVALID', 'header is not JSON', { cause: thrown });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new FoldlogError('FRAME_INVALID', 'header is not a JSON object');
  }
  const { code, language, version, opaque, flag, remark, extFields } = parsed as Record<string, unknown>;
  return {
    code: wholeOf(code, 'code'),
    language: typeof language === 'string' ? language : 'OTHER',
    version: wholeOf(version, 'version'),
    opaque: wholeOf(opaque, 'opaque'),
    flag: wholeOf(flag, 'flag'),
    remark: typeof remark === 'string' ? remark : undefined,
    extFields: textFieldsOf(extFields),
    body,
    serializeType: 'JSON',
  };
}

/** Absent means 0, as Java's field default; text is taken as a number. */
function wholeOf(value: unknown, name: string): number {
  if (value === undefined || value === null) return 0;
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number === 'number' && number === (number | 0)) return number;
  throw new FoldlogError('FRAME_INVALID', `header member ${name} is not a 32-bit number`, { name });
}

function textFieldsOf(extFields: unknown): Record<string, string> {
  if (extFields === undefined || extFields === null) return {};
  if (typeof extFields !== 'object' || Array.isArray(extFields)) {
    throw new FoldlogError('FRAME_INVALID', 'header member extFields is not an object');
  }
  // JSON.parse made this object and nobody else holds it: coerce in place.
  const fields = extFields as Record<string, unknown>;
  for (const name in fields) {
    const value = fields[name];
    if (typeof value === 'string') continue;
    if (value === null) delete fields[name];
    else fields[name] = textOf(value);
  }
  return fields as Record<string, string>;
}

const LONG_MAX = 2 ** 63;

function textOf(value: unknown): string {
  if (typeof value === 'object') {
    try {
      return JSON.stringify(value);
    } catch (thrown) {
      // Nested so deep that it can be read but not written.
      throw new FoldlogError('FRAME_INVALID', 'header field is nested too deep', { cause: thrown });
    }
  }
  // Java's Long.MAX_VALUE as a bare number has been rounded up by JSON.parse.
  if (typeof value === 'number' && Math.abs(value) === LONG_MAX) {
    return value > 0 ? '9223372036854775807' : '-9223372036854775808';
  }
  return String(value);
}

function encodeBinaryHeader(command: DecodedHeader): Buffer {
  const { extFields, remark = '' } = command;
  const remarkBytes = Buffer.byteLength(remark);
  let fieldsBytes = 0;
  for (const name in extFields) {
    const value = extFields[name];
    if (value) fieldsBytes += 2 + nameBytesOf(name) + 4 + Buffer.byteLength(value);
  }
  const header = Buffer.allocUnsafe(21 + remarkBytes + fieldsBytes);
  let at = header.writeInt16BE(command.code, 0);
  at = header.writeUInt8(LANGUAGE_BYTES.get(command.language) ?? OTHER_LANGUAGE, at);
  at = header.writeInt16BE((command.version << 16) >> 16, at);
  at = header.writeInt32BE(command.opaque, at);
  at = header.writeInt32BE(command.flag, at);
  at = header.writeInt32BE(remarkBytes, at);
  at += header.write(remark, at);
  at = header.writeInt32BE(fieldsBytes, at);
  for (const name in extFields) {
    const value = extFields[name];
    if (!value) continue;
    const nameBytes = header.write(name, at + 2);
    header.writeInt16BE(nameBytes, at);
    at += 2 + nameBytes;
    const valueBytes = header.write(value, at + 4);
    header.writeInt32BE(valueBytes, at);
    at += 4 + valueBytes;
  }
  return header;
}

function nameBytesOf(name: string): number {
  const bytes = Buffer.byteLength(name);
  if (bytes > 32767) throw new FoldlogError('FRAME_INVALID', `header field name of ${bytes} bytes, at most 32767 fit`);
  return bytes;
}

function decodeBinaryHeader(bytes: Buffer, body: Buffer): RemotingCommand {
  const reader = new ByteReader(bytes, 'binary header');
  const code = reader.int16('code');
  const language = LANGUAGES[reader.int8('language')] ?? 'OTHER';
  const version = reader.int16('version');
  const opaque = reader.int32('opaque');
  const flag = reader.int32('flag');
  const remark = reader.text(reader.int32('remark length'), 'remark');
  const fieldsBytes = reader.int32('length of the fields');
  const fields = new ByteReader(reader.bytes(fieldsBytes, 'fields'), 'fields of the binary header');
  const entries: [string, string][] = [];
  while (fields.bytesLeft > 0) {
    const name = fields.shortText('name');
    const value = fields.text(fields.int32('value length'), 'value');
    if (name !== '' && value !== '') entries.push([name, value]);
  }
  return {
    code,
    language,
    version,
    opaque,
    flag,
    remark: remark === '' ? undefined : remark,
    extFields: Object.fromEntries(entries),
    body,
    serializeType: 'ROCKETMQ',
  };
}
