/**
 * Metric math, as far as our alarms and dashboards use it; everything else is an error.
 *
 * Source: CloudWatch user guide, "Using math expressions with CloudWatch metrics": a missing value counts as 0 where the
 * other side has one; what would be divided by zero is dropped; a comparison is 0 or 1.
 */
import type { Series } from './data.ts';

type Value = number | Series | readonly Series[];

const isScalar = (value: Value): value is number => typeof value === 'number';
const isSeries = (value: Value): value is Series => Array.isArray(value) && !value.some(Array.isArray);

/** @param named the series of the metrics and expressions that it may refer to, all of the same periods */
export function metricMath(expression: string, named: ReadonlyMap<string, Series>): Series {
  const parser = new Parser(expression, named);
  const value = parser.whole();
  if (isScalar(value)) throw new Error(`${expression} is a number, and an alarm needs a series`);
  if (!isSeries(value)) throw new Error(`${expression} is several series`);
  return value;
}

const TOKEN = /\s*(\d+(?:\.\d+)?|[A-Za-z_]\w*|==|!=|<=|>=|&&|\|\||[-+*/<>(),[\]])/y;

const COMPARISONS: Readonly<Record<string, (left: number, right: number) => boolean>> = {
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};
const ARITHMETIC: Readonly<Record<string, (left: number, right: number) => number | undefined>> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => (right === 0 ? undefined : left / right),
};

type Binary = (left: number, right: number) => number | undefined;

/** Point by point; a point that neither side has is none. */
function pointwise(left: Value, right: Value, apply: Binary): Value {
  if (isScalar(left) && isScalar(right)) {
    const value = apply(left, right);
    if (value === undefined) throw new Error('division by zero');
    return value;
  }
  if ((!isScalar(left) && !isSeries(left)) || (!isScalar(right) && !isSeries(right)))
    throw new Error('arithmetic over lists of series is not known here');
  const length = isScalar(left) ? (right as Series).length : left.length;
  return Array.from({ length }, (_, index) => {
    const [one, other] = [isScalar(left) ? left : left[index], isScalar(right) ? right : right[index]];
    const absent = (isScalar(left) || one === undefined) && (isScalar(right) || other === undefined);
    return absent ? undefined : apply(one ?? 0, other ?? 0);
  });
}

class Parser {
  readonly #expression: string;
  readonly #named: ReadonlyMap<string, Series>;
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(expression: string, named: ReadonlyMap<string, Series>) {
    this.#expression = expression;
    this.#named = named;
    this.#tokens = tokensOf(expression);
  }

  whole(): Value {
    const value = this.#or();
    if (this.#at < this.#tokens.length) throw this.#unexpected();
    return value;
  }

  #or(): Value {
    return this.#chain(() => this.#and(), { OR: either, '||': either });
  }

  #and(): Value {
    return this.#chain(() => this.#comparison(), { AND: both, '&&': both });
  }

  #comparison(): Value {
    const asNumber = Object.entries(COMPARISONS).map(([sign, holds]): [string, Binary] => [
      sign,
      (left, right) => (holds(left, right) ? 1 : 0),
    ]);
    return this.#chain(() => this.#sum(), Object.fromEntries(asNumber));
  }

  #sum(): Value {
    return this.#chain(() => this.#product(), { '+': ARITHMETIC['+'] as Binary, '-': ARITHMETIC['-'] as Binary });
  }

  #product(): Value {
    return this.#chain(() => this.#unary(), { '*': ARITHMETIC['*'] as Binary, '/': ARITHMETIC['/'] as Binary });
  }

  #unary(): Value {
    if (!this.#take('-')) return this.#primary();
    return pointwise(-1, this.#unary(), (left, right) => left * right);
  }

  #chain(next: () => Value, operators: Readonly<Record<string, Binary>>): Value {
    let left = next();
    for (;;) {
      const apply = operators[this.#tokens[this.#at] ?? ''];
      if (apply === undefined) return left;
      this.#at++;
      left = pointwise(left, next(), apply);
    }
  }

  #primary(): Value {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw this.#unexpected();
    if (/^\d/.test(token)) return Number(token);
    if (token === '(') {
      const value = this.#or();
      this.#expect(')');
      return value;
    }
    if (token === '[') return this.#list(']').map(seriesOf);
    if (this.#tokens[this.#at] === '(') return this.#call(token);
    const series = this.#named.get(token);
    if (series === undefined) throw new Error(`${this.#expression}: nothing has the id ${token}`);
    return series;
  }

  #call(name: string): Value {
    this.#expect('(');
    const values = this.#list(')');
    switch (name) {
      case 'FILL':
        return fill(values);
      case 'IF':
        return choose(values);
      case 'MAX':
      case 'MIN':
      case 'SUM':
        return across(name, values);
      default:
        throw new Error(`${this.#expression}: ${name} is not known here`);
    }
  }

  #list(end: string): Value[] {
    const values: Value[] = [];
    while (!this.#take(end)) {
      if (values.length > 0) this.#expect(',');
      values.push(this.#or());
    }
    return values;
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw this.#unexpected();
  }

  #unexpected(): Error {
    return new Error(`${this.#expression}: unexpected ${this.#tokens[this.#at] ?? 'end'}`);
  }
}

const both: Binary = (left, right) => (left !== 0 && right !== 0 ? 1 : 0);
const either: Binary = (left, right) => (left !== 0 || right !== 0 ? 1 : 0);

function tokensOf(expression: string): readonly string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.trimEnd().length) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(expression);
    if (found === null) throw new Error(`${expression}: cannot be read from ${JSON.stringify(expression.slice(from))}`);
    tokens.push(found[1] as string);
  }
  return tokens;
}

function seriesOf(value: Value): Series {
  if (!isSeries(value)) throw new Error('a list takes series');
  return value;
}

function fill(values: readonly Value[]): Series {
  const [series, filler] = values;
  if (values.length !== 2 || series === undefined || !isSeries(series) || filler === undefined || !isScalar(filler))
    throw new Error('FILL takes a series and a number here');
  return series.map((value) => value ?? filler);
}

/** By point: a condition without a value has none, and a missing value of what is chosen when it is true counts as 0. */
function choose(values: readonly Value[]): Series {
  const [condition, yes, no] = values;
  if (condition === undefined || yes === undefined || !isSeries(condition) || values.length > 3)
    throw new Error('IF takes a series, and one or two values');
  const at = (value: Value | undefined, index: number) =>
    value === undefined || isScalar(value) ? value : seriesOf(value)[index];
  return condition.map((holds, index) => {
    if (holds === undefined) return undefined;
    return holds !== 0 ? (at(yes, index) ?? 0) : at(no, index);
  });
}

/** Over an array of series, point by point. Over one series it would be a number, for which alarms are no place. */
function across(name: 'MAX' | 'MIN' | 'SUM', values: readonly Value[]): Series {
  const [list] = values;
  if (values.length !== 1 || list === undefined || isScalar(list) || isSeries(list))
    throw new Error(`${name} takes a list of series here`);
  const [first] = list as readonly Series[];
  return (first ?? []).map((_, index) => {
    const present = (list as readonly Series[]).flatMap((series) => series[index] ?? []);
    if (present.length === 0) return undefined;
    if (name === 'SUM') return present.reduce((sum, value) => sum + value, 0);
    return name === 'MAX' ? Math.max(...present) : Math.min(...present);
  });
}
