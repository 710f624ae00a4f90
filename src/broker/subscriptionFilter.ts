/**
 * A subscription as a predicate over a queue's entries and records. TAG compares the low 32 bits of the stored hash
 * with the hashes of the tags (the client compares the texts again); SQL92 looks at the record's properties.
 * Upstream: `ExpressionMessageFilter`, `DefaultMessageFilter`.
 */
import { messageOf } from '../base/errors.js';
import { compileSql } from '../filter/sqlFilter.js';
import { tagsCodeFilter } from '../filter/tagFilter.js';
import type { SubscriptionData } from '../protocol/bodies.js';
import { javaHash } from '../protocol/javaHash.js';
import { buildSubscription, EXPRESSION_TYPE, isTagType, SUBSCRIBE_ALL } from '../protocol/subscription.js';
import type { ReadFilter } from '../store/storeTypes.js';

export interface SubscriptionFilter {
  /** Undefined: everything matches. */
  readFilter: ReadFilter | undefined;
  /** May an entry match, as far as its tagsCode tells? */
  mayMatch(tagsCode: number): boolean;
  /** Why the expression cannot be used. */
  defect: string | undefined;
}

const EVERYTHING: SubscriptionFilter = { readFilter: undefined, mayMatch: () => true, defect: undefined };

/** Never throws: an expression that cannot be used is a filter with a defect. */
export function filterOf(subscription: SubscriptionData): SubscriptionFilter {
  const { expressionType, subString } = subscription;
  if (isTagType(expressionType)) return tagFilterOf(subscription);
  if (expressionType !== EXPRESSION_TYPE.SQL92) return defective(`expression type ${expressionType} is not known`);
  try {
    const expression = compileSql(subString);
    return {
      readFilter: { matchesProperties: (properties) => expression.matches(properties) },
      mayMatch: () => true,
      defect: undefined,
    };
  } catch (thrown) {
    return defective(messageOf(thrown));
  }
}

/** The filter of a request's own text. */
export function filterOfText(topic: string, text: string, expressionType: string | undefined): SubscriptionFilter {
  try {
    return filterOf(buildSubscription(topic, text, expressionType || EXPRESSION_TYPE.TAG));
  } catch (thrown) {
    return defective(messageOf(thrown));
  }
}

function tagFilterOf({ subString, codeSet, tagsSet }: SubscriptionData): SubscriptionFilter {
  // Some clients send the tags without their hashes.
  const codes = codeSet.length > 0 ? codeSet : tagsSet.map(javaHash);
  if (subString === SUBSCRIBE_ALL || subString === '' || codes.length === 0) return EVERYTHING;
  const matchesTagsCode = tagsCodeFilter(codes.map((code) => code | 0));
  return { readFilter: { matchesTagsCode }, mayMatch: matchesTagsCode, defect: undefined };
}

const defective = (defect: string): SubscriptionFilter => ({ readFilter: undefined, mayMatch: () => true, defect });
