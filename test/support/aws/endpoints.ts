/** Services of AWS as endpoints in this process, as far as handlers that are wired by their environment call them. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeEndpoint {
  readonly endpoint: string;
  /** What was asked for, oldest first. */
  readonly asked: string[];
  stop(): void;
}

interface Reply {
  readonly asked: string;
  readonly status?: number;
  readonly type: string;
  readonly body: string;
}

async function endpoint(answer: (body: string) => Reply): Promise<FakeEndpoint> {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += String(part);
    const reply = answer(text);
    asked.push(reply.asked);
    response.writeHead(reply.status ?? 200, { 'content-type': reply.type });
    response.end(reply.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Secrets Manager with these secrets, by the id that is asked for. */
export const fakeSecretsManager = (secrets: Readonly<Record<string, string>>): Promise<FakeEndpoint> =>
  endpoint((text) => {
    const { SecretId: id = '' } = JSON.parse(text) as { SecretId?: string };
    const SecretString = secrets[id];
    const type = 'application/x-amz-json-1.1';
    return SecretString === undefined
      ? { asked: id, status: 400, type, body: '{"__type": "ResourceNotFoundException", "message": "absent"}' }
      : { asked: id, type, body: JSON.stringify({ ARN: id, SecretString }) };
  });

/** An account without instances. */
export const fakeEmptyEc2 = (): Promise<FakeEndpoint> =>
  endpoint((text) => {
    const action = new URLSearchParams(text).get('Action') ?? '';
    const sets: Readonly<Record<string, string>> = {
      DescribeInstances: '<reservationSet/>',
      TerminateInstances: '<instancesSet/>',
    };
    const body = `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${sets[action] ?? ''}</${action}Response>`;
    return { asked: action, type: 'text/xml', body };
  });
