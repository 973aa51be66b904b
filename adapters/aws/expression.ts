/** Conditions and updates as DynamoDB expressions: one `#n`/`:n` placeholder for each name and value. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Condition, Guard, Value } from '../../core/table/model.ts';
import { marshallValue } from './marshall.ts';

const COMPARATORS = { eq: '=', ne: '<>', lt: '<', le: '<=', gt: '>', ge: '>=' } as const;

/** Collects the names and values of one request. */
export class Expression {
  private readonly nameIndex = new Map<string, string>();
  private readonly valueMap: Record<string, AttributeValue> = {};
  private valueCount = 0;

  name(attribute: string): string {
    let placeholder = this.nameIndex.get(attribute);
    if (placeholder === undefined) {
      placeholder = `#${this.nameIndex.size}`;
      this.nameIndex.set(attribute, placeholder);
    }
    return placeholder;
  }

  value(value: Value): string {
    const placeholder = `:${this.valueCount++}`;
    this.valueMap[placeholder] = marshallValue(value);
    return placeholder;
  }

  condition(condition: Condition): string {
    switch (condition.op) {
      case 'absent':
        return `attribute_not_exists(${this.name('pk')})`;
      case 'exists':
        return `attribute_exists(${this.name('pk')})`;
      case 'has':
        return `attribute_exists(${this.name(condition.attribute)})`;
      case 'hasNot':
        return `attribute_not_exists(${this.name(condition.attribute)})`;
      case 'in':
        return `${this.name(condition.attribute)} IN (${condition.values.map((each) => this.value(each)).join(', ')})`;
      case 'or':
        return `(${condition.any.map((each) => this.condition(each)).join(' OR ')})`;
      default:
        return `${this.name(condition.attribute)} ${COMPARATORS[condition.op]} ${this.value(condition.value)}`;
    }
  }

  guards(guards: readonly Guard[] | undefined): string | undefined {
    if (guards === undefined || guards.length === 0) return undefined;
    return guards.map((each) => this.condition(each.condition)).join(' AND ');
  }

  update(set: Readonly<Record<string, Value | undefined>>, add: Readonly<Record<string, number>>): string {
    const sets: string[] = [];
    const removes: string[] = [];
    for (const [attribute, value] of Object.entries(set)) {
      if (value === undefined) removes.push(this.name(attribute));
      else sets.push(`${this.name(attribute)} = ${this.value(value)}`);
    }
    const adds = Object.entries(add).map(([attribute, amount]) => `${this.name(attribute)} ${this.value(amount)}`);
    return [
      sets.length > 0 ? `SET ${sets.join(', ')}` : '',
      removes.length > 0 ? `REMOVE ${removes.join(', ')}` : '',
      adds.length > 0 ? `ADD ${adds.join(', ')}` : '',
    ]
      .filter((clause) => clause !== '')
      .join(' ');
  }

  get names(): Record<string, string> {
    return Object.fromEntries([...this.nameIndex].map(([attribute, placeholder]) => [placeholder, attribute]));
  }

  get values(): Record<string, AttributeValue> | undefined {
    return this.valueCount === 0 ? undefined : this.valueMap;
  }
}
