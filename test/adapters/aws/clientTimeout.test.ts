import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { afterEach, expect, it } from 'vitest';
import { dynamoClient } from '../../../adapters/aws/client.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

it('gives up a request that is never answered, and says so', async () => {
  server = createServer(() => {});
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = dynamoClient({ endpoint: `http://127.0.0.1:${port}`, requestTimeoutMs: 50, maxAttempts: 1 });
  const request = client.send(new GetItemCommand({ TableName: 't', Key: { pk: { S: 'a' }, sk: { S: 'b' } } }));
  await expect(request).rejects.toMatchObject({ name: 'TimeoutError' });
  client.destroy();
});
