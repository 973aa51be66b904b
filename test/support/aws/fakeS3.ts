/**
 * S3 as far as the stores use it, as an endpoint in this process: objects by path, `NoSuchKey` for what is absent, and of
 * signed URLs what S3 makes of them: the signature over the signed headers as they came, and the SHA-256 of the bytes where
 * it came as a header. In the query it means nothing to S3.
 */
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { S3Client } from '@aws-sdk/client-s3';

export interface FakeS3 {
  readonly client: S3Client;
  readonly bucket: string;
  readonly endpoint: string;
  readonly objects: Map<string, Buffer>;
  /** Method and key of each request, oldest first. */
  readonly requests: string[];
  stop(): Promise<void>;
}

const BUCKET = 'candor-test';
const REGION = 'eu-central-1';
const SECRET = 'test';

export async function fakeS3(): Promise<FakeS3> {
  const objects = new Map<string, Buffer>();
  const requests: string[] = [];
  const server = createServer((request, response) => {
    serve(request, response, objects, requests).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new S3Client({
    endpoint,
    region: REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: SECRET },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  return {
    client,
    bucket: BUCKET,
    endpoint,
    objects,
    requests,
    stop: async () => {
      client.destroy();
      server.close();
      server.closeAllConnections();
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  objects: Map<string, Buffer>,
  requests: string[],
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://s3');
  const key = decodeURIComponent(url.pathname.replace(`/${BUCKET}/`, ''));
  requests.push(`${request.method} ${key}`);
  if (url.searchParams.has('X-Amz-Signature') && !isAsSigned(url, request))
    return answer(response, 403, 'SignatureDoesNotMatch');
  if (request.method === 'PUT') {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const sha256 = request.headers['x-amz-checksum-sha256'];
    if (sha256 !== undefined && createHash('sha256').update(body).digest('base64') !== sha256)
      return answer(response, 400, 'BadDigest');
    if (request.headers['if-none-match'] === '*' && objects.has(key))
      return answer(response, 412, 'PreconditionFailed');
    objects.set(key, body);
    response.end();
    return;
  }
  const body = objects.get(key);
  if (body === undefined) return answer(response, 404, request.method === 'HEAD' ? undefined : 'NoSuchKey');
  response.setHeader('content-length', body.length);
  for (const name of ['content-type', 'content-disposition']) {
    const value = url.searchParams.get(`response-${name}`);
    if (value !== null) response.setHeader(name, value);
  }
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Signature Version 4 of a presigned URL, from AWS's description of it. */
function isAsSigned(url: URL, request: IncomingMessage): boolean {
  const param = (name: string) => url.searchParams.get(name) ?? '';
  const names = param('X-Amz-SignedHeaders').split(';');
  const query = url.search.slice(1).split('&').sort();
  const canonical = [
    request.method,
    url.pathname,
    query.filter((pair) => !pair.startsWith('X-Amz-Signature=')).join('&'),
    ...names.map((name) => `${name}:${request.headers[name] ?? ''}`),
    '',
    names.join(';'),
    'UNSIGNED-PAYLOAD',
  ].join('\n');
  const time = param('X-Amz-Date');
  const scope = [time.slice(0, 8), REGION, 's3', 'aws4_request'];
  const hash = createHash('sha256').update(canonical).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${SECRET}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope.join('/'), hash].join('\n')).toString('hex');
  return signature === param('X-Amz-Signature');
}

function answer(response: ServerResponse, status: number, code: string | undefined): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/xml');
  response.end(code === undefined ? undefined : `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
}
