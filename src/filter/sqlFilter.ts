/**
 * SQL92 filter expressions: text in, a predicate over message properties out. Grammar by rising precedence, from
 * upstream's `SelectorParser.jj`:
 *
 *     or          and { OR and }
 *     and         equality { AND equality }
 *     equality    comparison { ( = | <> ) comparison | IS [NOT] NULL }
 *     comparison  unary { ( > | >= | < | <= ) unary | [NOT] BETWEEN unary AND unary | [NOT] IN ( 'a' , … )
 *                       | [NOT] ( CONTAINS | STARTSWITH | ENDSWITH ) 'a' }
 *     unary       ( + | - | NOT ) unary | literal | identifier | ( or )
 *
 * As upstream's, the parser stops at the first token that fits nowhere and what follows is not looked at:
 * `status like 'a%'` compiles and means `status`. NOT binds to the next operand: `NOT a = 2` is `(NOT a) = 2`.
 * Logic has three values; only TRUE matches, unknown and errors do not.
 */
import type { OptionsError } from '../base/errors.js';
import { SqlTokens } from './sqlTokens.js';
import type { SqlValue } from './sqlValues.js';
import { compareValues, parseLong } from './sqlValues.js';

export interface SqlFilter {
  matches(properties: Readonly<Record<string, string>>): boolean;
}

/** Throws OptionsError with the position (`details.position`) of what does not compile. */
export function compileSql(expression: string): SqlFilter {
  const { evaluate } = new SqlParser(expression).parse();
  return {
    matches(properties) {
      try {
        return evaluate(properties) === true;
      } catch {
        // A property that does not parse as its literal (SqlValueError). Upstream logs it and takes it as no match.
        return false;
      }
    },
  };
}

type Properties = Readonly<Record<string, string>>;
type Evaluate = (properties: Properties) => SqlValue;

/** `boolean`: can only be true, false or unknown. Literals TRUE, FALSE and NULL are `constant`, and count as such too. */
interface Node {
  kind: 'boolean' | 'property' | 'constant' | 'negated';
  evaluate: Evaluate;
  /** Of a constant. */
  value?: SqlValue;
  position: number;
}

/** Parentheses, signs and NOTs within each other. */
const DEPTH_MAX = 200;

class SqlParser {
  readonly #tokens: SqlTokens;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = new SqlTokens(text);
  }

  parse(): Node {
    return this.#asBoolean(this.#or());
  }

  #or(): Node {
    const first = this.#and();
    if (!this.#tokens.sees('OR')) return first;
    const operands = [this.#asBoolean(first).evaluate];
    while (this.#tokens.takes('OR')) operands.push(this.#asBoolean(this.#and()).evaluate);
    return booleanNode(first.position, (properties) => firstOf(operands, properties, true));
  }

  #and(): Node {
    const first = this.#equality();
    if (!this.#tokens.sees('AND')) return first;
    const operands = [this.#asBoolean(first).evaluate];
    while (this.#tokens.takes('AND')) operands.push(this.#asBoolean(this.#equality()).evaluate);
    return booleanNode(first.position, (properties) => firstOf(operands, properties, false));
  }

  #equality(): Node {
    const tokens = this.#tokens;
    let left = this.#comparison();
    for (;;) {
      if (tokens.takes('=')) left = this.#equal(left, this.#comparison());
      else if (tokens.takes('<>')) left = not(this.#equal(left, this.#comparison()));
      else if (tokens.takes('IS')) {
        const isNegated = tokens.takes('NOT');
        tokens.expect('NULL');
        const { evaluate } = left;
        left = booleanNode(left.position, (properties) => (evaluate(properties) === null) !== isNegated);
      } else return left;
    }
  }

  #equal(left: Node, right: Node): Node {
    for (const node of [left, right]) {
      if (node.kind === 'constant' && node.value === null) {
        throw this.#tokens.error(node.position, 'NULL cannot be compared: use IS NULL');
      }
    }
    if (
      left.kind === 'constant' &&
      right.kind === 'constant' &&
      (typeof left.value === 'boolean') !== (typeof right.value === 'boolean')
    ) {
      throw this.#tokens.error(right.position, 'a truth value cannot be compared with another type');
    }
    return comparison(left, right, (order) => order === 0);
  }

  #comparison(): Node {
    const tokens = this.#tokens;
    let left = this.#unary();
    for (;;) {
      if (tokens.takes('>')) left = this.#ordered(left, this.#unary(), (order) => order > 0);
      else if (tokens.takes('>=')) left = this.#ordered(left, this.#unary(), (order) => order >= 0);
      else if (tokens.takes('<')) left = this.#ordered(left, this.#unary(), (order) => order < 0);
      else if (tokens.takes('<=')) left = this.#ordered(left, this.#unary(), (order) => order <= 0);
      else if (tokens.takes('NOT')) left = this.#wordTest(left, true) ?? this.#fail('BETWEEN, IN, CONTAINS, …');
      else {
        const test = this.#wordTest(left, false);
        if (test === undefined) return left;
        left = test;
      }
    }
  }

  #fail(wanted: string): never {
    throw this.#tokens.unexpected(wanted);
  }

  /** `[NOT]` and what may follow it; undefined when the next word is none of them. */
  #wordTest(left: Node, isNegated: boolean): Node | undefined {
    const tokens = this.#tokens;
    if (tokens.takes('BETWEEN')) {
      const low = this.#unary();
      tokens.expect('AND');
      const between = this.#between(left, low, this.#unary());
      return isNegated ? not(between) : between;
    }
    if (tokens.takes('IN')) return this.#in(left, isNegated);
    if (tokens.takes('CONTAINS')) return textTest(left, tokens.expectString(), isNegated, 'includes');
    if (tokens.takes('STARTSWITH')) return textTest(left, tokens.expectString(), isNegated, 'startsWith');
    if (tokens.takes('ENDSWITH')) return textTest(left, tokens.expectString(), isNegated, 'endsWith');
    return undefined;
  }

  #ordered(left: Node, right: Node, holds: (order: number) => boolean): Node {
    for (const node of [left, right]) {
      const isNumber = typeof node.value === 'bigint' || typeof node.value === 'number';
      if (node.kind === 'boolean' || (node.kind === 'constant' && !isNumber)) {
        throw this.#tokens.error(node.position, 'only numbers and properties have an order');
      }
    }
    return comparison(left, right, holds);
  }

  #between(value: Node, low: Node, high: Node): Node {
    const atLeast = this.#ordered(value, low, (order) => order >= 0);
    const atMost = this.#ordered(value, high, (order) => order <= 0);
    if (low.kind === 'constant' && high.kind === 'constant' && low.value != null && high.value != null) {
      const order = compareValues(low.value, high.value);
      if (order !== undefined && order > 0) {
        throw this.#tokens.error(low.position, 'the lower end of BETWEEN lies above the upper one');
      }
    }
    const operands = [atLeast.evaluate, atMost.evaluate];
    return booleanNode(value.position, (properties) => firstOf(operands, properties, false));
  }

  #in(left: Node, isNegated: boolean): Node {
    const tokens = this.#tokens;
    if (left.kind !== 'property') throw tokens.error(left.position, 'IN needs a property on its left');
    tokens.expect('(');
    const texts = new Set<SqlValue>([tokens.expectString()]);
    while (tokens.takes(',')) texts.add(tokens.expectString());
    tokens.expect(')');
    const { evaluate } = left;
    return booleanNode(left.position, (properties) => {
      const value = evaluate(properties);
      return value === null ? null : texts.has(value) !== isNegated;
    });
  }

  #unary(): Node {
    const tokens = this.#tokens;
    const { position } = tokens.peek();
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw tokens.error(position, `more than ${DEPTH_MAX} levels`);
    let node: Node;
    if (tokens.takes('+')) node = this.#unary();
    else if (tokens.takes('-')) node = negated(position, this.#unary());
    else if (tokens.takes('NOT')) node = not(this.#asBoolean(this.#unary()));
    else node = this.#primary();
    this.#depth -= 1;
    return node;
  }

  #primary(): Node {
    const tokens = this.#tokens;
    const { kind, text, position } = tokens.peek();
    if (tokens.takes('(')) {
      const inner = this.#or();
      tokens.expect(')');
      return inner;
    }
    switch (kind) {
      case 'identifier':
        tokens.take();
        // Own properties only: `constructor` is no property of a message.
        return {
          kind: 'property',
          position,
          evaluate: (properties) => (Object.hasOwn(properties, text) ? (properties[text] ?? null) : null),
        };
      case 'string':
        tokens.take();
        return constant(position, text);
      case 'double':
        tokens.take();
        if (!Number.isFinite(Number(text))) throw tokens.error(position, `${text} is too large`);
        return constant(position, Number(text));
      case 'long': {
        tokens.take();
        const value = parseLong(text.replace(/[lL]$/, ''));
        if (value === undefined) throw tokens.error(position, `${text} does not fit into 64 bits`);
        return constant(position, value);
      }
      default:
        if (tokens.takes('TRUE')) return constant(position, true);
        if (tokens.takes('FALSE')) return constant(position, false);
        if (tokens.takes('NULL')) return constant(position, null);
        throw this.#expressionExpected();
    }
  }

  #expressionExpected(): OptionsError {
    return this.#tokens.unexpected('a property, a literal or (');
  }

  /** A property alone is text, which is never true; numbers and texts alone do not compile. */
  #asBoolean(node: Node): Node {
    const { kind, value, evaluate, position } = node;
    if (kind === 'boolean') return node;
    if (kind === 'constant' && (typeof value === 'boolean' || value === null)) return node;
    if (kind !== 'property') throw this.#tokens.error(position, 'neither true nor false can come of this');
    return booleanNode(position, (properties) => (evaluate(properties) === null ? null : false));
  }
}

const booleanNode = (position: number, evaluate: Evaluate): Node => ({ kind: 'boolean', position, evaluate });

const constant = (position: number, value: SqlValue): Node => ({
  kind: 'constant',
  position,
  value,
  evaluate: () => value,
});

/** The deciding value (true for OR, false for AND) when an operand has it, else unknown when one is, else the other. */
function firstOf(operands: readonly Evaluate[], properties: Properties, deciding: boolean): boolean | null {
  let isUnknown = false;
  for (const evaluate of operands) {
    const value = evaluate(properties);
    if (value === deciding) return deciding;
    if (value === null) isUnknown = true;
  }
  return isUnknown ? null : !deciding;
}

function not({ position, evaluate }: Node): Node {
  return booleanNode(position, (properties) => {
    const value = evaluate(properties);
    return value === null ? null : value !== true;
  });
}

/** Only numbers have a negative; a property is text. */
function negated(position: number, { evaluate }: Node): Node {
  return {
    kind: 'negated',
    position,
    evaluate(properties) {
      const value = evaluate(properties);
      return typeof value === 'bigint' || typeof value === 'number' ? -value : null;
    },
  };
}

function comparison(left: Node, right: Node, holds: (order: number) => boolean): Node {
  const { evaluate: leftOf } = left;
  const { evaluate: rightOf } = right;
  return booleanNode(left.position, (properties) => {
    const leftValue = leftOf(properties);
    if (leftValue === null) return null;
    const rightValue = rightOf(properties);
    if (rightValue === null) return null;
    const order = compareValues(leftValue, rightValue);
    return order !== undefined && holds(order);
  });
}

/** A missing property neither contains a text nor does it not contain it; the same goes for an empty text. */
function textTest(left: Node, wanted: string, isNegated: boolean, test: 'includes' | 'startsWith' | 'endsWith'): Node {
  const { evaluate } = left;
  return booleanNode(left.position, (properties) => {
    const value = evaluate(properties);
    return typeof value === 'string' && wanted !== '' && value[test](wanted) !== isNegated;
  });
}
