/**
 * How a record that a repair of the log wrote in the place of a lost one is told from a message: its FLAG is 0x464C524D
 * ("FLRM") and its PREPARED TRANSACTION OFFSET is -1, which no message has. Written by `store/log/removedRecord.ts`.
 */
import { EVENT_PROPERTY, type MessageProperties } from './messageProperties.js';

export const REMOVED_FLAG = 0x464c524d;
export const REMOVED_PREPARED_OFFSET = -1;

export function isRemovedMessage(message: { flag: number; preparedTransactionOffset: number }): boolean {
  return message.flag === REMOVED_FLAG && message.preparedTransactionOffset === REMOVED_PREPARED_OFFSET;
}

const NONE: readonly number[] = [];

/** Index hashes of the keys of what was lost, where only they are known. */
export function lostKeysOf(properties: MessageProperties): readonly number[] {
  return lostKeysFrom(properties[EVENT_PROPERTY.LOST_KEYS]);
}

/** The reverse of {@link lostKeysText}; what is no hash is left out. */
export function lostKeysFrom(text: string | undefined): readonly number[] {
  if (text === undefined) return NONE;
  return text.split('.').flatMap((word) => {
    const hash = Number.parseInt(word, 36);
    return Number.isSafeInteger(hash) && hash >= 0 ? [hash] : [];
  });
}

/** Text of FL_LOST: base 36, separated by dots. */
export function lostKeysText(hashes: readonly number[]): string {
  return hashes.map((hash) => hash.toString(36)).join('.');
}
