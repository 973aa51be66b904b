/** JSON values to and from DynamoDB's attribute values. Numbers must be finite; absent members are left out. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Item, Key, Value } from '../../core/table/model.ts';

export function marshallValue(value: Value): AttributeValue {
  if (value === null) return { NULL: true };
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} cannot be stored: numbers must be finite`);
    return { N: String(value) };
  }
  if (typeof value === 'boolean') return { BOOL: value };
  if (Array.isArray(value)) return { L: value.map(marshallValue) };
  return { M: marshallItem(value as Readonly<Record<string, Value | undefined>>) };
}

export function marshallItem(item: Readonly<Record<string, Value | undefined>>): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {};
  for (const name in item) {
    const value = item[name];
    if (value !== undefined) attributes[name] = marshallValue(value);
  }
  return attributes;
}

export const marshallKey = (key: Key): Record<string, AttributeValue> => ({ pk: { S: key.pk }, sk: { S: key.sk } });

export function unmarshallValue(attribute: AttributeValue): Value {
  if (attribute.S !== undefined) return attribute.S;
  if (attribute.N !== undefined) return Number(attribute.N);
  if (attribute.BOOL !== undefined) return attribute.BOOL;
  if (attribute.L !== undefined) return attribute.L.map(unmarshallValue);
  if (attribute.M !== undefined) return unmarshallItem(attribute.M);
  if (attribute.NULL !== undefined) return null;
  throw new TypeError(
    `the table holds an attribute of a type that Candor never writes: ${Object.keys(attribute).join()}`,
  );
}

export function unmarshallItem(attributes: Readonly<Record<string, AttributeValue>>): Item {
  const item: Record<string, Value> = {};
  for (const name in attributes) {
    const attribute = attributes[name];
    if (attribute !== undefined) item[name] = unmarshallValue(attribute);
  }
  return item as Item;
}
