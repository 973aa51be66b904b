/** Plain requests to the emulator, for services whose client is no dependency of Candor's. */
import { REGION } from './start.ts';

const scope = (service: string) =>
  `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/${service}/aws4_request, SignedHeaders=host, Signature=none`;

/** A call in the query protocol. Answers the XML. @throws Error with the answer, if it is one of failure */
export async function query(url: string, service: string, form: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: scope(service) },
    body: new URLSearchParams(form).toString(),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${service} ${form.Action} was answered with ${response.status}: ${text}`);
  return text;
}

/** A call in the JSON protocol. */
export async function json<T>(url: string, service: string, target: string, body: unknown): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': target,
      authorization: scope(service),
    },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${target} was answered with ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

/** The text of the first element of this name. @throws Error where there is none */
export function textOf(xml: string, name: string): string {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  if (found === undefined) throw new Error(`no <${name}> in ${xml.slice(0, 500)}`);
  return found;
}
