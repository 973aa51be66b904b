/** HTML by template: what is put in is text, and is escaped, unless it is HTML already. */

export interface Html {
  readonly html: string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

export const raw = (text: string): Html => ({ html: text });

export const html = (parts: TemplateStringsArray, ...values: readonly (string | Html)[]): Html =>
  raw(
    parts
      .map((part, index) => {
        const value = values[index] ?? '';
        return part + (typeof value === 'string' ? escaped(value) : value.html);
      })
      .join(''),
  );

export const join = (parts: readonly Html[]): Html => raw(parts.map((part) => part.html).join('\n'));

export const code = (text: string): Html => html`<code>${text}</code>`;

/** Text in which backticks mark code. */
export const prose = (text: string): Html =>
  raw(
    text
      .split('`')
      .map((part, index) => (index % 2 === 0 ? escaped(part) : code(part).html))
      .join(''),
  );
