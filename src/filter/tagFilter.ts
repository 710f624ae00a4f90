/**
 * Tags as predicates. The broker compares hashes, which it has in the consume queue; two tags may share one, so the
 * client compares the text again. Upstream: `ExpressionMessageFilter.isMatchedByConsumeQueue`, and
 * `PullAPIWrapper.processPullResult` on the client.
 */

/** Of the low 32 bits only: a consume queue entry holds 64. No codes take everything. */
export function tagsCodeFilter(codeSet: Iterable<number>): (tagsCode: number) => boolean {
  const codes = new Set(codeSet);
  if (codes.size === 0) return () => true;
  return (tagsCode) => codes.has(tagsCode | 0);
}

/** No tags take everything, else a message without a tag is dropped. */
export function tagFilter(tagsSet: Iterable<string>): (tag: string | undefined) => boolean {
  const tags = new Set(tagsSet);
  if (tags.size === 0) return () => true;
  return (tag) => tag !== undefined && tags.has(tag);
}
