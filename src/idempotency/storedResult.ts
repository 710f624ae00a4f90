/**
 * What an effect returned, kept with its done mark as JSON, so that duplicates are answered as the first delivery was.
 * Bounded: the marks live in Redis or in a table that is read with every claim.
 */
import { isFoldlogError, messageOf, OptionsError } from '../base/errors.js';

/** Bytes of JSON in UTF-8. */
export const RESULT_BYTES_MAX = 65_536;

/** Undefined: there is no result. Throws OPTIONS_INVALID for one that JSON does not have, or that is too large. */
export function encodeResult(result: unknown, { group, key }: { group: string; key: string }): string | undefined {
  if (result === undefined) return undefined;
  const refuse = (why: string, cause?: unknown) =>
    new OptionsError(`the result of effect ${excerptOf(key)} of group ${group} ${why}`, { group, key, cause });
  let text: string | undefined;
  try {
    text = JSON.stringify(result);
  } catch (thrown) {
    throw refuse(`cannot be kept as JSON: ${messageOf(thrown)}`, thrown);
  }
  if (text === undefined) throw refuse(`is a ${typeof result}, which JSON does not have: return data`);
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes <= RESULT_BYTES_MAX) return text;
  throw refuse(`has ${sizeBytes} bytes as JSON, at most ${RESULT_BYTES_MAX} are kept: return an id of it`);
}

export function decodeResult(stored: string | undefined): unknown {
  return stored === undefined ? undefined : JSON.parse(stored);
}

/** The effect is recorded done, but its result could not be kept with it. */
export function doneWithoutResult(refused: unknown): OptionsError {
  return new OptionsError(`${messageOf(refused)}; the effect is recorded done, without it`, {
    cause: refused,
    isRecordedDone: true,
  });
}

/** True for the error that says: done, only the result is not kept. */
export function isRecordedDone(thrown: unknown): boolean {
  return isFoldlogError(thrown) && thrown.details['isRecordedDone'] === true;
}

function excerptOf(key: string): string {
  return key.length <= 120 ? key : `${key.slice(0, 117)}...`;
}
