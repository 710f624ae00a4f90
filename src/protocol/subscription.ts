/**
 * A filter expression as the subscription that heartbeats and pulls carry. Upstream: `FilterAPI.buildSubscriptionData`.
 */
import { OptionsError } from '../base/errors.js';
import type { SubscriptionData } from './bodies.js';
import { javaHash } from './javaHash.js';

export const EXPRESSION_TYPE = { TAG: 'TAG', SQL92: 'SQL92' } as const;
export const SUBSCRIBE_ALL = '*';

export const isTagType = (expressionType: string | undefined): boolean =>
  expressionType === undefined || expressionType === '' || expressionType === EXPRESSION_TYPE.TAG;

/**
 * TAG: `*` or nothing takes all, else tags joined by `||`. Other types keep their text as it is; an empty one is an
 * OptionsError.
 *
 * @param subVersion tells a newer subscription from an older one; clients use the time in milliseconds
 */
export function buildSubscription(
  topic: string,
  expression: string | undefined,
  expressionType: string = EXPRESSION_TYPE.TAG,
  subVersion = 0,
): SubscriptionData {
  const base = { topic, subVersion, classFilterMode: false, tagsSet: [], codeSet: [] };
  if (!isTagType(expressionType)) {
    if (!expression) {
      throw new OptionsError(`a subscription of type ${expressionType} to ${topic} needs an expression`, { topic });
    }
    return { ...base, subString: expression, expressionType };
  }
  if (!expression || expression === SUBSCRIBE_ALL) {
    return { ...base, subString: SUBSCRIBE_ALL, expressionType: EXPRESSION_TYPE.TAG };
  }
  const parts = expression.split('||').map((part) => part.trim());
  const tagsSet = [...new Set(parts.filter((part) => part !== ''))];
  if (tagsSet.length === 0) {
    throw new OptionsError(`tag expression ${JSON.stringify(expression)} for ${topic} names no tag`, { topic });
  }
  const codeSet = [...new Set(tagsSet.map(javaHash))];
  return { ...base, subString: expression, expressionType: EXPRESSION_TYPE.TAG, tagsSet, codeSet };
}
