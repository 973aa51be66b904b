/** Schemas in words: the type of a value in a line, the fields of an object in a table. */
import { code, type Html, html, join, prose, raw } from './html.ts';
import type { Schema } from './page.ts';

/** A type in a few words, with links to the schemas that have a name. */
export function typeOf(schema: Schema): Html {
  const { $ref, type, format, items, additionalProperties } = schema;
  if ($ref !== undefined) {
    const name = $ref.split('/').at(-1) ?? '';
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.enum !== undefined)
    return raw(
      schema.enum.map((each) => code(typeof each === 'string' ? each : JSON.stringify(each)).html).join(' | '),
    );
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return raw(choices.map((each) => typeOf(each).html).join(' | '));
  if (items !== undefined) return html`list of ${typeOf(items)}`;
  if (schema.properties !== undefined) return fieldTable(schema);
  if (typeof additionalProperties === 'object') return html`object, each field ${typeOf(additionalProperties)}`;
  if (type === undefined) return html`any JSON`;
  return html`${[type].flat().join(' | ')}${format === undefined ? '' : ` (${format})`}`;
}

/** What a named schema is: its fields, or else its type. */
export const schemaRows = (schema: Schema): Html =>
  schema.properties === undefined ? html`<p>${typeOf(schema)}</p>` : fieldTable(schema);

const fieldTable = ({ properties = {}, required = [] }: Schema): Html =>
  Object.keys(properties).length === 0
    ? html`an object without fields`
    : html`<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>
${join(
  Object.entries(properties).map(
    ([name, schema]) =>
      html`<tr><td>${code(name)}${required.includes(name) ? html`<span class="required"> required</span>` : ''}</td><td>${typeOf(schema)}</td><td>${prose(schema.description ?? '')}${
        schema.default === undefined ? '' : html` Default: ${code(JSON.stringify(schema.default))}.`
      }</td></tr>`,
  ),
)}</tbody></table>`;

export const example = (value: unknown): Html => html`<pre><code>${JSON.stringify(value, undefined, 2)}</code></pre>`;
