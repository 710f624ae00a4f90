/** What a consumer asks of messages: a tag expression as text, or SQL92 over message properties. */
import { OptionsError } from '../base/errors.js';

/** Made by {@link sql}. */
export interface SqlFilter {
  readonly expressionType: 'SQL92';
  readonly expression: string;
}

/**
 * SQL92 over message properties, evaluated by the broker. `@Filterable` fields are properties; a message without the
 * property does not match.
 *
 * @example @Consumer('orders', { filter: sql("cents > 1000 AND country IN ('DE', 'FR')") })
 */
export function sql(expression: string): SqlFilter {
  if (expression.trim() === '') throw new OptionsError('sql(…) needs an expression');
  return { expressionType: 'SQL92', expression };
}
