/** What a request to AWS asks for, and how each protocol says that it failed. */
import type { IncomingHttpHeaders } from 'node:http';

export interface Call {
  /** As in the signature's scope: `ec2`, `states`, `scheduler`, `dynamodb`, … */
  readonly service: string;
  /** As in the API reference: `CreateFleet`, `StartExecution`, … */
  readonly action: string;
  /** Of the URL, without its query. */
  readonly path: string;
  /** Of the query protocol (EC2); empty for all others. */
  readonly form: URLSearchParams;
  readonly body: Buffer;
}

export interface Request {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const REST_ACTIONS: Readonly<Record<string, readonly (readonly [method: string, path: RegExp, action: string])[]>> = {
  scheduler: [
    ['POST', /^\/schedules\/[^/]+$/, 'CreateSchedule'],
    ['PUT', /^\/schedules\/[^/]+$/, 'UpdateSchedule'],
    ['GET', /^\/schedules\/[^/]+$/, 'GetSchedule'],
    ['DELETE', /^\/schedules\/[^/]+$/, 'DeleteSchedule'],
    ['GET', /^\/schedules$/, 'ListSchedules'],
  ],
  s3: [
    ['PUT', /^\/[^/]+\/.+/, 'PutObject'],
    ['GET', /^\/[^/]+\/.+/, 'GetObject'],
    ['HEAD', /^\/[^/]+\/.+/, 'HeadObject'],
    ['DELETE', /^\/[^/]+\/.+/, 'DeleteObject'],
    ['GET', /^\/[^/]+\/?$/, 'ListObjectsV2'],
  ],
  lambda: [['POST', /^\/2015-03-31\/functions\/[^/]+\/invocations$/, 'Invoke']],
};

/** The service by the signature's scope (of the header, or of a presigned URL), the action by whatever its protocol says. */
export function callOf({ method, url, headers, body }: Request): Call {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const scope = `${headers.authorization ?? ''} ${searchParams.get('X-Amz-Credential') ?? ''}`;
  const service = /\/\d{8}\/[^/]+\/([^/]+)\/aws4_request/.exec(scope)?.[1] ?? 'unknown';
  const isForm = (headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const form = new URLSearchParams(isForm ? body.toString() : '');
  const target = headers['x-amz-target'];
  const action =
    form.get('Action') ??
    (typeof target === 'string' ? target.slice(target.lastIndexOf('.') + 1) : undefined) ??
    REST_ACTIONS[service]?.find(([verb, path]) => verb === method && path.test(pathname))?.[2] ??
    `${method} ${pathname}`;
  return { service, action, path: pathname, form, body };
}

const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

export const xml = {
  text: (name: string, value: string | undefined) =>
    value === undefined ? '' : `<${name}>${escapeXml(value)}</${name}>`,
  node: (name: string, ...children: readonly string[]) => `<${name}>${children.join('')}</${name}>`,
};

export function xmlAnswer(action: string, requestId: string, content: string): Answer {
  const root = `${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"`;
  const text = `<?xml version="1.0" encoding="UTF-8"?><${root}>${xml.text('requestId', requestId)}${content}</${action}Response>`;
  return { status: 200, headers: { 'content-type': 'text/xml;charset=UTF-8' }, body: Buffer.from(text) };
}

export interface ServiceError {
  readonly code: string;
  readonly message?: string;
  readonly status?: number;
}

/** An error as the call's service would put it. */
export function errorAnswer({ service }: Pick<Call, 'service'>, error: ServiceError): Answer {
  const { code, message = `${code}, as the test has ordered`, status = 400 } = error;
  if (service === 'ec2') {
    const content = xml.node('Errors', xml.node('Error', xml.text('Code', code), xml.text('Message', message)));
    const text = `<?xml version="1.0" encoding="UTF-8"?>${xml.node('Response', content, xml.text('RequestID', 'test'))}`;
    return { status, headers: { 'content-type': 'text/xml;charset=UTF-8' }, body: Buffer.from(text) };
  }
  if (service === 's3') {
    const text = xml.node('Error', xml.text('Code', code), xml.text('Message', message));
    return { status, headers: { 'content-type': 'application/xml' }, body: Buffer.from(text) };
  }
  return {
    status,
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': code },
    body: Buffer.from(JSON.stringify({ __type: code, message, Message: message })),
  };
}
