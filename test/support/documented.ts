/**
 * Holds every answer of the API against the OpenAPI document: its status is documented for its operation, its body is what
 * the schema says and has no field besides, its headers are those that are promised. An answer that is not fails the test.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { Hono } from 'hono';
import { PUBLIC_GROUPS, RUNNER_GROUP } from '../../adapters/http/app.ts';
import { openApiDocument } from '../../adapters/http/openapi.ts';

interface MediaType {
  readonly schema?: object;
}
interface ResponseObject {
  readonly headers: Readonly<Record<string, { readonly $ref?: string; readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, MediaType>>;
}
type OperationObject = {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, ResponseObject | { readonly $ref: string }>>;
};
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: {
    readonly headers: Readonly<Record<string, { readonly required?: boolean }>>;
    readonly responses: Readonly<Record<string, ResponseObject>>;
  };
}

const document = JSON.parse(JSON.stringify(openApiDocument([...PUBLIC_GROUPS, RUNNER_GROUP]))) as Document;
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, 'document');
const escaped = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1');

/** What is seldom answered and has no body of its own to be held against. */
const PROBLEM = '/components/schemas/Problem';

/** Every name of a property, in the order in which the document first has it. */
export const propertyOrder: ReadonlyMap<string, number> = (() => {
  const order = new Map<string, number>();
  JSON.stringify(document, (name, value) => {
    if (name === 'properties' && typeof value === 'object')
      for (const each of Object.keys(value)) if (!order.has(each)) order.set(each, order.size);
    return value;
  });
  return order;
})();

const paths = Object.keys(document.paths).map((template) => ({
  template,
  pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  // A path that is written out comes before one with a parameter in its place.
  parameters: template.split('{').length,
}));
const templateOf = (path: string) =>
  paths.filter(({ pattern }) => pattern.test(path)).sort((a, b) => a.parameters - b.parameters)[0]?.template;

/** The operation that a request asks for, if there is one. */
export function operationOf(method: string, path: string): string | undefined {
  const template = templateOf(path);
  return template === undefined ? undefined : document.paths[template]?.[method.toLowerCase()]?.operationId;
}

function schemaFaults(pointer: string, body: unknown): readonly string[] {
  const validate = ajv.getSchema(`document#${encodeURI(pointer)}`);
  if (validate === undefined) return [`the document has no ${pointer}`];
  if (validate(body) === true) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath || 'the body'} ${message} ${JSON.stringify(params)}`,
  );
}

function bodyFaults(at: string, response: ResponseObject, type: string, text: string): readonly string[] {
  if (response.content === undefined) return text === '' ? [] : ['it has a body, and none is documented'];
  const media = response.content[type];
  if (media === undefined) return [`its media type ${type || '(none)'} is not documented`];
  if (media.schema === undefined) return [];
  return schemaFaults(`${at}/content/${escaped(type)}/schema`, JSON.parse(text));
}

function headerFaults(response: ResponseObject, headers: Headers): readonly string[] {
  const promised = Object.entries(response.headers).map(([name, { $ref, required }]) => ({
    name,
    required: $ref === undefined ? required : document.components.headers[$ref.split('/').at(-1) ?? '']?.required,
  }));
  const told = new Set(promised.map(({ name }) => name));
  return [
    ...promised
      .filter(({ name, required }) => required === true && !headers.has(name))
      .map(({ name }) => `the header ${name} is missing`),
    ...['ETag', 'Location', 'Retry-After', 'WWW-Authenticate', 'Content-Disposition']
      .filter((name) => headers.has(name) && !told.has(name))
      .map((name) => `the header ${name} is not documented`),
  ];
}

/** What is wrong with an answer by the document; nothing, if it is as documented. */
export async function answerFaults(method: string, path: string, response: Response): Promise<readonly string[]> {
  const text = await response.text();
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
  const isHead = method === 'HEAD';
  const template = templateOf(path);
  const verb = isHead ? 'get' : method.toLowerCase();
  const operation = template === undefined ? undefined : document.paths[template]?.[verb];
  if (template === undefined || operation === undefined) {
    if (![404, 405].includes(response.status)) return [`${response.status} for what is not in the document`];
    return isHead ? [] : schemaFaults(PROBLEM, JSON.parse(text));
  }
  const found = operation.responses[response.status];
  if (found === undefined) return [`the status ${response.status} is not documented: ${text.slice(0, 300)}`];
  const at = '$ref' in found ? found.$ref.slice(1) : `/paths/${escaped(template)}/${verb}/responses/${response.status}`;
  const told = '$ref' in found ? document.components.responses[at.split('/').at(-1) ?? ''] : found;
  if (told === undefined) return [`the document has no ${at}`];
  return [...(isHead ? [] : bodyFaults(at, told, type, text)), ...headerFaults(told, response.headers)];
}

/** The app, whose every answer is held against the document before whoever asked gets it. */
export function heldToDocument(app: Hono): Hono {
  const fetch = app.fetch;
  app.fetch = async (request, ...rest) => {
    const response = await fetch(request, ...rest);
    const { pathname } = new URL(request.url);
    const faults = await answerFaults(request.method, pathname, response.clone());
    if (faults.length > 0)
      throw new Error(`${request.method} ${pathname} was not answered as documented:\n  ${faults.join('\n  ')}`);
    return response;
  };
  return app;
}
