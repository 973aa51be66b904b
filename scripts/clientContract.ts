/**
 * The client's types, made from the OpenAPI document: an interface per schema, and per operation what it takes and answers.
 * It knows as much of JSON Schema as our document uses, and fails on more.
 */

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
}
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Schema;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: { 'application/json': { schema: Schema } } };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> }>
  >;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** A value that is left out may also be given as undefined in what is sent; in what is answered it is absent. */
type Side = 'sent' | 'answered';

/** The text of `client/src/contract.ts`. */
export function clientContract(given: unknown): string {
  const { paths, components } = given as Document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const schemas = Object.entries(components.schemas).map(([name, schema]) => {
    const side = name.endsWith('Request') ? 'sent' : 'answered';
    const type = typeText(schema, side, '');
    const said = comment(schema.description, '');
    return type.startsWith('{') && schema.properties !== undefined
      ? `${said}export interface ${name} ${type}\n`
      : `${said}export type ${name} = ${type};\n`;
  });
  return [
    '/** Made from the OpenAPI document by `npm run openapi`: do not edit. */\n',
    '/** Any JSON value. */\nexport type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };\n',
    ...schemas,
    '/** What each operation takes and answers. */',
    `export interface Operations {\n${operations.map(({ operation }) => operationText(operation)).join('')}}\n`,
    '/** Where each operation is. */',
    `export const OPERATIONS = {\n${operations
      .map(({ path, method, operation }) => `  ${operation.operationId}: { method: '${method}', path: '${path}' },\n`)
      .join('')}} as const;\n`,
  ].join('\n');
}

function operationText({ operationId, summary, description, parameters, requestBody, responses }: Operation): string {
  const body = requestBody?.content['application/json'].schema;
  const members = [
    `path: ${parametersText(parameters, 'path')}`,
    `query: ${parametersText(parameters, 'query')}`,
    `body${requestBody?.required === true ? '' : '?'}: ${body === undefined ? 'undefined' : typeText(body, 'sent', '    ')}`,
    `ifMatch: ${ifMatchText(parameters)}`,
    `answer: ${answerText(responses)}`,
  ];
  const said = comment([summary, description].filter((each) => each !== undefined).join(' '), '  ');
  return `${said}  ${operationId}: {\n${members.map((each) => `    readonly ${each};\n`).join('')}  };\n`;
}

const ifMatchText = (parameters: readonly Parameter[]): string => {
  const found = parameters.find(({ name }) => name === 'If-Match');
  return found === undefined ? 'never' : found.required ? "'required'" : "'honoured'";
};

function parametersText(parameters: readonly Parameter[], place: string): string {
  const own = parameters.filter((each) => each.in === place);
  if (own.length === 0) return 'undefined';
  const properties = Object.fromEntries(
    own.map(({ name, schema, description }) => [name, description === undefined ? schema : { ...schema, description }]),
  );
  const required = own.filter((each) => each.required).map(({ name }) => name);
  return typeText({ type: 'object', properties, required }, 'sent', '    ');
}

/** The union of the bodies of all successes; undefined stands for one without a body, `Bytes` for what is no JSON. */
function answerText(responses: Operation['responses']): string {
  const types = Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .flatMap(([, { content }]) =>
      content === undefined
        ? ['undefined']
        : Object.entries(content).map(([type, { schema = {} }]) =>
            type === 'application/json' ? typeText(schema, 'answered', '    ') : 'Response',
          ),
    );
  return [...new Set(types)].join(' | ');
}

function typeText(schema: Schema, side: Side, indent: string): string {
  const { $ref, type, items, properties, additionalProperties } = schema;
  if ($ref !== undefined) return $ref.split('/').at(-1) ?? '';
  if ('const' in schema) return literal(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(literal).join(' | ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return choices.map((each) => typeText(each, side, indent)).join(' | ');
  if (typeof type === 'object')
    return type.map((each) => typeText({ ...schema, type: each }, side, indent)).join(' | ');
  switch (type) {
    case undefined:
      return 'Json';
    case 'string':
    case 'boolean':
    case 'null':
      return type;
    case 'integer':
    case 'number':
      return 'number';
    case 'array':
      return `readonly ${inArray(typeText(items ?? {}, side, indent))}[]`;
    case 'object':
      if (properties !== undefined) return objectText(schema, side, indent);
      return `{ readonly [name: string]: ${typeText(additionalProperties || {}, side, indent)} }`;
    default:
      throw new Error(`the client's types cannot say the type ${String(type)}`);
  }
}

const inArray = (text: string): string => (/ \||^readonly /.test(text) ? `(${text})` : text);

function objectText({ properties = {}, required = [] }: Schema, side: Side, indent: string): string {
  if (Object.keys(properties).length === 0) return '{ readonly [name: string]: never }';
  const deeper = `${indent}  `;
  const members = Object.entries(properties).map(([name, schema]) => {
    const optional = !required.includes(name);
    const type = typeText(schema, side, deeper);
    const said = schema.$ref === undefined ? comment(schema.description, deeper) : '';
    return `${said}${deeper}readonly ${named(name)}${optional ? '?' : ''}: ${type}${optional && side === 'sent' ? ' | undefined' : ''};\n`;
  });
  return `{\n${members.join('')}${indent}}`;
}

const named = (name: string): string => (/^\w+$/.test(name) ? name : `'${name}'`);
const literal = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value));

const comment = (text: string | undefined, indent: string): string =>
  text === undefined || text === '' ? '' : `${indent}/** ${text.replaceAll('*/', '*\\/')} */\n`;
