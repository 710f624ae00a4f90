/** Java's `String.hashCode`, which RocketMQ stores as tagsCode and uses for its index slots. */

/** h = 31 * h + UTF-16 code unit, wrapping at 32 bits, signed. The hash of the empty string is 0. */
export function javaHash(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1) hash = (Math.imul(31, hash) + text.charCodeAt(at)) | 0;
  return hash;
}

/** What a consume queue stores for a tag: its hash; 0 for none. */
export function tagsCodeOf(tags: string | undefined): number {
  return tags ? javaHash(tags) : 0;
}
