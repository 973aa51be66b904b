/**
 * The reference page: the OpenAPI document as HTML for people. One page without scripts, without anything from elsewhere,
 * so that it works wherever the API does.
 */
import { createHash } from 'node:crypto';
import type { OpenApi } from '../openapi.ts';
import { code, type Html, html, join, prose, raw } from './html.ts';
import { example, schemaRows, typeOf } from './schemas.ts';
import { STYLE } from './style.ts';

export interface Parameter {
  readonly $ref?: string;
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Schema;
}
export interface Media {
  readonly schema?: Schema;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}
export interface Answer {
  readonly $ref?: string;
  readonly description: string;
  readonly content?: Readonly<Record<string, Media>>;
}
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Answer>>;
  readonly 'x-least-role'?: string;
}
interface Document {
  readonly info: { readonly title: string; readonly summary: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly parameters: Readonly<Record<string, Parameter>>;
    readonly responses: Readonly<Record<string, Answer>>;
    readonly schemas: Readonly<Record<string, Schema>>;
  };
}

/** Nothing is loaded and nothing runs; the one style sheet is known by its hash. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Placed {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

/** @param given as `openApiDocument` makes it */
export function referencePage(given: OpenApi): string {
  const document = given as unknown as Document;
  const placed = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const of = (tag: string) => placed.filter(({ operation }) => operation.tags.includes(tag));
  const { title, summary, description } = document.info;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} API</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<nav aria-label="Operations">
<p><a href="#top">${title} API</a> · <a href="openapi.json">OpenAPI</a></p>
${join(document.tags.map(({ name }) => menu(name, of(name))))}
<p><a href="#schemas">Schemas</a></p>
</nav>
<main id="top">
<h1>${title} API</h1>
<p class="lead">${summary}</p>
${join(description.split('\n\n').map((each) => html`<p>${prose(each)}</p>`))}
${join(document.tags.map((tag) => section(tag, of(tag.name), document)))}
<section><h2 id="schemas">Schemas</h2>
${join(Object.entries(document.components.schemas).map(([name, schema]) => schemaSection(name, schema)))}
</section>
</main>
</body>
</html>
`;
  return page.html;
}

const menu = (tag: string, placed: readonly Placed[]): Html => html`<h2>${tag}</h2>
<ul>${join(
  placed.map(({ operation: { operationId } }) => html`<li><a href="#${operationId}">${operationId}</a></li>`),
)}</ul>`;

function section({ name, description }: Document['tags'][number], placed: readonly Placed[], document: Document): Html {
  return html`<section><h2>${name}</h2><p>${prose(description)}</p>
${join(placed.map((each) => operationArticle(each, document)))}
</section>`;
}

function operationArticle({ path, method, operation }: Placed, document: Document): Html {
  const { operationId, summary, description, requestBody, responses } = operation;
  const parameters = operation.parameters.map((each) => referred(each, document.components.parameters));
  const role = operation['x-least-role'];
  const [body] = Object.entries(requestBody?.content ?? {});
  return html`<article>
<h3 id="${operationId}"><span class="method ${method}">${method.toUpperCase()}</span> ${code(path)}</h3>
<p>${prose(summary)}${description === undefined ? '' : html` ${prose(description)}`}</p>
<p class="note">${code(operationId)} · ${role === undefined ? 'no credential' : html`least role: ${role}`}</p>
${parameters.length === 0 ? '' : parameterTable(parameters)}
${
  body === undefined
    ? ''
    : html`<h4>Body${requestBody?.required === true ? '' : ' (optional)'}</h4>
<p>${typeOf(body[1].schema ?? {})}</p>${examplesOf(body[1])}`
}
<h4>Answers</h4>
<table><thead><tr><th>Status</th><th>Meaning</th><th>Body</th></tr></thead><tbody>
${join(Object.entries(responses).map(([status, answer]) => answerRow(status, answer, document)))}
</tbody></table>
${join(
  Object.entries(responses).flatMap(([status, answer]) =>
    Object.values(answer.content ?? {}).map((media) => examplesOf(media, status)),
  ),
)}
</article>`;
}

const parameterTable = (parameters: readonly Parameter[]): Html => html`<h4>Parameters</h4>
<table><thead><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead><tbody>
${join(
  parameters.map(
    ({ name, in: place, required, schema, description }) =>
      html`<tr><td>${code(name)}${required ? html`<span class="required"> required</span>` : ''}</td><td>${place}</td><td>${typeOf(schema)}</td><td>${prose(description ?? '')}</td></tr>`,
  ),
)}</tbody></table>`;

const referred = <T extends { readonly $ref?: string }>(one: T, components: Readonly<Record<string, T>>): T =>
  components[one.$ref?.split('/').at(-1) ?? ''] ?? one;

function answerRow(status: string, given: Answer, document: Document): Html {
  const answer = referred(given, document.components.responses);
  const bodies = Object.entries(answer.content ?? {}).map(([type, { schema }]) => {
    const shown = schema?.allOf?.[0] ?? schema;
    return shown === undefined ? code(type) : typeOf(shown);
  });
  return html`<tr><td>${status}</td><td>${prose(answer.description)}</td><td>${join(bodies)}</td></tr>`;
}

const examplesOf = ({ examples = {} }: Media, status?: string): Html =>
  join(
    Object.values(examples).map(
      ({ value }) =>
        html`<details><summary>Example${status === undefined ? '' : ` of ${status}`}</summary>${example(value)}</details>`,
    ),
  );

const schemaSection = (name: string, schema: Schema): Html => html`<article>
<h3 id="schema-${name}">${name}</h3>
<p>${prose(schema.description ?? '')}</p>
${schemaRows(schema)}
</article>`;
