/**
 * The name of an effect: the group that has it and the key that tells it from the group's others. What a database
 * cannot hold as text, or index, is hashed here; nothing else may look like such a hash.
 */
import { createHash } from 'node:crypto';
import { OptionsError } from '../base/errors.js';

/** As RocketMQ has the names of groups: no `:` in it, so that `group:key` says where the key begins. */
const GROUP = /^[%|a-zA-Z0-9_-]{1,255}$/;

/** Throws OPTIONS_INVALID for a group or key that names nothing. */
export function assertEffect(group: string, key: string): void {
  if (typeof group !== 'string' || !GROUP.test(group)) {
    throw new OptionsError(
      `group of a guarded effect: ${JSON.stringify(group)} must be 1 to 255 letters, digits, _, -, % or |`,
      { group },
    );
  }
  if (typeof key === 'string' && key !== '') return;
  throw new OptionsError(
    `key of a guarded effect of group ${group}: ${JSON.stringify(key)} must be a text, not empty`,
    {
      group,
    },
  );
}

/**
 * The key as text of a database, and still different for different keys. It holds no NUL, no half of a surrogate pair
 * and is not longer than asked for: such keys are hashed. `%` is escaped in all others, so that none of them looks like a
 * hash.
 */
export function databaseKeyOf(key: string, lengthMax: number): string {
  if (key.length > lengthMax || key.includes('\0') || holdsHalfPair(key)) return hashedKeyOf(key);
  return key.includes('%') ? key.replaceAll('%', '%25') : key;
}

/** Does it hold half of a surrogate pair? UTF-8 has none of them: all become the same character, and so keys the same. */
export function holdsHalfPair(key: string): boolean {
  return /\p{Surrogate}/u.test(key);
}

/** Begins with `%s`, as no key that is escaped or has a `%` put before it does. */
export function hashedKeyOf(key: string): string {
  return `%sha256:${createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('hex')}`;
}
