/**
 * Keys as a message carries them: a KEYS property separates keys by blanks, so a key that holds one is percent-encoded
 * before it is stored. The first key of an event is its stream.
 */
import { OptionsError } from '../base/errors.js';

/** Longest key in characters, encoded. Keys of one event share 32,767 bytes with its other properties. */
export const KEY_MAX_LENGTH = 1_000;

// The blank separates keys; the others would end a property or pass for an encoded character.
// biome-ignore lint/suspicious/noControlCharactersInRegex: 0x00-0x20 are the characters to be encoded
const TO_ENCODE = /[\u0000-\u0020%\u007f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const ALL_TO_ENCODE = /[\u0000-\u0020%\u007f]/g;

/** A key in the form in which it is stored and looked up. Throws OptionsError for one that is no text, empty or too long. */
export function encodeKey(key: string): string {
  if (typeof key !== 'string' || key === '') {
    throw new OptionsError(`a key of an event must be a text that is not empty, not ${JSON.stringify(key)}`);
  }
  const encoded = TO_ENCODE.test(key) ? key.replace(ALL_TO_ENCODE, percent) : key;
  if (encoded.length > KEY_MAX_LENGTH) {
    throw new OptionsError(
      `key ${JSON.stringify(`${key.slice(0, 40)}…`)} has ${encoded.length} characters, at most ${KEY_MAX_LENGTH} are allowed`,
    );
  }
  return encoded;
}

const percent = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** The reverse; a text that was never encoded comes back as it is. */
export function decodeKey(encoded: string): string {
  return encoded.includes('%')
    ? encoded.replace(/%([01][0-9A-F]|20|25|7F)/g, (_whole, code: string) =>
        String.fromCharCode(Number.parseInt(code, 16)),
      )
    : encoded;
}
