/**
 * Which keys of a record enter the index, and their hashes (upstream: `IndexService#buildIndex`, `buildKey`):
 *
 *     topic#UNIQ_KEY      topic#part for each part of KEYS      topic#T#TAGS
 *
 * in this order. The hash is the absolute value of Java's string hash, 0 where that overflows. Events (records with a
 * version) get no tag entry: it would chain millions of entries into one slot. The hashes in FL_LOST come first.
 */
import { javaHash } from '../../protocol/javaHash.js';
import { SYS_FLAG } from '../../protocol/message.js';
import type { MessageProperties } from '../../protocol/messageProperties.js';
import { EVENT_PROPERTY, PROPERTY } from '../../protocol/messageProperties.js';
import { lostKeysOf } from '../../protocol/removedMessage.js';

const TAG_PREFIX = 'T#';
const PREFIXES_MAX = 65_536;
const prefixOf = (topic: string) => javaHash(`${topic}#`);

/** Java's hash of `prefix + key`, from the prefix's hash. */
function continueHash(prefixHash: number, key: string): number {
  let hash = prefixHash;
  for (let at = 0; at < key.length; at += 1) hash = (Math.imul(31, hash) + key.charCodeAt(at)) | 0;
  return hash;
}

/** What stands in the index for a Java hash. */
function indexedHash(hash: number): number {
  return hash < 0 ? (hash === -0x8000_0000 ? 0 : -hash) : hash;
}

/** Hashes keys, remembering each topic's part of the hash. One per store. */
export class IndexHash {
  readonly #prefixes = new Map<string, number>();

  of(topic: string, key: string): number {
    return indexedHash(continueHash(this.#prefix(topic), key));
  }

  /** The hash under which the tag of a message is indexed. */
  ofTag(topic: string, tags: string): number {
    return indexedHash(continueHash(continueHash(this.#prefix(topic), TAG_PREFIX), tags));
  }

  /** Calls `put` for the hash of each key of a record, in upstream's order. */
  forEach(
    topic: string,
    sysFlag: number,
    properties: MessageProperties,
    put: (hash: number) => void,
    withEventTags = false,
  ): void {
    // What a repair put in the place of lost records is found under their keys.
    if (properties[EVENT_PROPERTY.LOST_KEYS] !== undefined) lostKeysOf(properties).forEach(put);
    if ((sysFlag & SYS_FLAG.TRANSACTION_MASK) === SYS_FLAG.TRANSACTION_ROLLBACK) return;
    const uniqKey = properties[PROPERTY.UNIQ_KEY];
    if (uniqKey) put(this.of(topic, uniqKey));
    const keys = properties[PROPERTY.KEYS];
    if (keys) {
      if (!keys.includes(' ')) put(this.of(topic, keys));
      else for (const key of keys.split(' ')) if (key !== '') put(this.of(topic, key));
    }
    const tags = properties[PROPERTY.TAGS];
    if (tags && (withEventTags || properties[EVENT_PROPERTY.STREAM_VERSION] === undefined))
      put(this.ofTag(topic, tags));
  }

  #prefix(topic: string): number {
    let prefix = this.#prefixes.get(topic);
    if (prefix === undefined) {
      if (this.#prefixes.size >= PREFIXES_MAX) this.#prefixes.clear();
      prefix = prefixOf(topic);
      this.#prefixes.set(topic, prefix);
    }
    return prefix;
  }
}
