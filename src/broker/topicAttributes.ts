/**
 * The attributes of a topic and how a request changes them: `+name=value` adds or alters, `-name` deletes, joined by
 * commas. Upstream: `TopicAttributes`, `AttributeUtil`.
 */
import { BrokerError } from '../base/errors.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { EVENTS_ATTRIBUTE } from './eventTopics.js';

interface AttributeRow {
  /** What may stand there; undefined: anything. */
  values?: readonly string[];
  /** Values that RocketMQ has and this version does not keep. */
  unavailable?: readonly string[];
  /** Values that RocketMQ refuses as a parameter, unless a key of broker.conf that is off by default allows them. */
  forbidden?: readonly string[];
  isDeletable: boolean;
}

const ATTRIBUTES: Readonly<Record<string, AttributeRow>> = {
  'queue.type': { values: ['SimpleCQ'], unavailable: ['BatchCQ', 'RocksDBCQ'], isDeletable: false },
  'cleanup.policy': { values: ['DELETE'], unavailable: ['COMPACTION'], isDeletable: false },
  'message.type': {
    values: ['UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION'],
    forbidden: ['MIXED'],
    isDeletable: true,
  },
  'reserve.time': { isDeletable: true },
  [EVENTS_ATTRIBUTE]: { values: ['true'], isDeletable: false },
};

/** The attributes after the request's changes. Throws BrokerError for what is not known or not possible. */
export function changedAttributes(
  current: Readonly<Record<string, string>>,
  changes: string | undefined,
): Record<string, string> {
  const attributes = { ...current };
  for (const change of (changes ?? '').split(',').map((part) => part.trim())) {
    if (change === '') continue;
    const sign = change[0];
    const [name = '', value] = splitOnce(change.slice(1));
    const row = Object.hasOwn(ATTRIBUTES, name) ? ATTRIBUTES[name] : undefined;
    if (sign !== '+' && sign !== '-') throw refusal(`attribute ${change} must start with + or -`);
    if (!row) throw refusal(`unsupported key: ${name}`);
    if (sign === '-') {
      if (!row.isDeletable) throw refusal(`attempt to delete an unchangeable attribute: ${name}`);
      if (!Object.hasOwn(current, name))
        throw refusal(`attribute ${name} cannot be deleted: the topic does not have it`);
      delete attributes[name];
    } else {
      if (value === undefined || value === '') throw refusal(`attribute ${name} has no value`);
      if (row.unavailable?.includes(value)) throw refusal(`${name}=${value} is not available in this version`);
      if (row.forbidden?.includes(value)) {
        throw refusal(`${name}=${value} is not allowed on this broker`, RESPONSE_CODE.INVALID_PARAMETER);
      }
      if (row.values && !row.values.includes(value)) {
        throw refusal(`${name}=${value} is not one of ${row.values.join(', ')}`);
      }
      attributes[name] = value;
    }
  }
  return attributes;
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

const refusal = (remark: string, code: number = RESPONSE_CODE.SYSTEM_ERROR) => new BrokerError(code, remark, remark);
