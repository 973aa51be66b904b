/**
 * S3 as far as the stores use it, as an endpoint in this process: objects by path, `NoSuchKey` for what is absent, and the
 * two promises of a signed URL that are checked when the bytes come: their length and their SHA-256.
 */
import { createHash } from 'node:crypto';
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
    region: 'eu-central-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
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
  if (request.method === 'PUT') {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const refusal = refusalOf(url, request, body);
    if (refusal !== undefined) return answer(response, 400, refusal);
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

function refusalOf(url: URL, request: IncomingMessage, body: Buffer): string | undefined {
  const sha256 = url.searchParams.get('x-amz-checksum-sha256');
  if (sha256 !== null && createHash('sha256').update(body).digest('base64') !== sha256) return 'BadDigest';
  const signed = url.searchParams.get('X-Amz-SignedHeaders')?.split(';') ?? [];
  return signed.some((name) => request.headers[name] === undefined) ? 'SignatureDoesNotMatch' : undefined;
}

function answer(response: ServerResponse, status: number, code: string | undefined): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/xml');
  response.end(code === undefined ? undefined : `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
}
