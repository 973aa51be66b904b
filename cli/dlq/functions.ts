/** Calls Candor's functions and waits for what they say: only an answer without an error counts as taken. */
import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';

/** The function was called, and has failed. */
export class FunctionFailed extends Error {
  constructor(name: string, said: string) {
    super(`${name} has failed: ${said}`);
    this.name = 'FunctionFailed';
  }
}

export type CallFunction = (name: string, event: unknown) => Promise<unknown>;

const SAID_MAX = 300;

export function caller(client: LambdaClient): CallFunction {
  return async (name, event) => {
    const answer = await client.send(
      new InvokeCommand({ FunctionName: name, InvocationType: 'RequestResponse', Payload: JSON.stringify(event) }),
    );
    const payload = answer.Payload?.transformToString('utf-8') ?? '';
    if (answer.FunctionError !== undefined) throw new FunctionFailed(name, wordsOf(payload));
    return payload === '' ? undefined : (JSON.parse(payload) as unknown);
  };
}

function wordsOf(payload: string): string {
  try {
    const { errorType, errorMessage } = JSON.parse(payload) as { errorType?: unknown; errorMessage?: unknown };
    const said = [errorType, errorMessage].filter((part) => typeof part === 'string').join(': ');
    return (said === '' ? payload : said).slice(0, SAID_MAX);
  } catch {
    return payload.slice(0, SAID_MAX);
  }
}
