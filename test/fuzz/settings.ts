/** What schemathesis is told: what is kept in `schemathesis.toml`, and the ids of what has been seeded. */
import type { Ids, Seeded } from './seed.ts';

/** So often an id is one that exists. */
const KNOWN = 0.8;
/** So often a condition names whatever stands: a version that is made up is hardly ever the one. */
const ANY_VERSION = 0.6;

const dictionary = (name: string, values: readonly string[]): string =>
  `[dictionaries.${name}]\nvalues = ${JSON.stringify(values)}\n`;

const bound = (name: string, from: string, probability: number): string =>
  `"${name}" = { dictionary = "${from}", probability = ${probability} }\n`;

const bindings = (ids: Ids, prefix: string): string =>
  Object.keys(ids)
    .map((name) => bound(`path.${name}`, `${prefix}${name}`, KNOWN))
    .join('');

/**
 * @param kept the content of schemathesis.toml
 * @param scenarios how many ways along the links are gone
 */
export function settingsOf(kept: string, { ids, doomed }: Seeded, scenarios: number): string {
  const dictionaries = [
    ...Object.entries(ids).map(([name, values]) => dictionary(name, values)),
    ...Object.entries(doomed).map(([name, values]) => dictionary(`doomed-${name}`, values)),
    dictionary('anyVersion', ['*']),
  ];
  // Keys of the whole before any table.
  const [whole, ...tables] = kept.split(/^(?=\[)/m);
  return [
    whole,
    ...dictionaries,
    `[parameters]\n${bindings(ids, '')}${bound('header.If-Match', 'anyVersion', ANY_VERSION)}`,
    `[phases.stateful]\nmax-steps = 12\ngeneration.max-examples = ${scenarios}\n`,
    ...tables,
    `[[operations]]\ninclude-method = "DELETE"\n[operations.parameters]\n${bindings(doomed, 'doomed-')}`,
  ].join('\n');
}
