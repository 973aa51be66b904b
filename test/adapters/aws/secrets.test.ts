import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { beforeEach, describe, expect, it } from 'vitest';
import { SecretsManagerSecrets } from '../../../adapters/aws/secrets.ts';
import { SecretTokens } from '../../../adapters/aws/tokens.ts';
import type { TokenClaims } from '../../../core/ports.ts';
import { secretsContract } from '../../contracts/secrets.ts';
import { tokensContract } from '../../contracts/tokens.ts';

const NOW = Date.UTC(2026, 10, 20);
const VM: TokenClaims = { kind: 'vm', tenantId: 't1', vmId: 'vm_1', generation: 2 };

/** Secrets Manager with these secrets, by the name or ARN that is asked for. */
function fakeSecretsManager(secrets: Record<string, string>) {
  const asked: string[] = [];
  const fault: { error?: Error | undefined } = {};
  const client = {
    send: async (command: unknown) => {
      if (!(command instanceof GetSecretValueCommand)) throw new TypeError('only reads');
      const id = command.input.SecretId ?? '';
      asked.push(id);
      if (fault.error !== undefined) throw fault.error;
      const value = secrets[id];
      if (value === undefined) throw Object.assign(new Error('absent'), { name: 'ResourceNotFoundException' });
      return { SecretString: value };
    },
  } as unknown as SecretsManagerClient;
  return { client, asked, fault, secrets };
}

const key = (letter: string) => letter.repeat(43);
const keySet = (...letters: string[]) =>
  JSON.stringify({ keys: letters.map((letter) => ({ kid: `k-${letter}`, key: key(letter) })) });

function setUp(text: string) {
  const manager = fakeSecretsManager({ arn: text });
  const time = { at: NOW, now: () => time.at };
  const logged: string[] = [];
  const log = { warn: (event: string) => void logged.push(event) };
  return { manager, time, logged, tokens: new SecretTokens({ client: manager.client, arn: 'arn', time, log }) };
}

tokensContract('the tokens of an AWS installation', () => ({
  tokens: setUp(keySet('a')).tokens,
  key: Buffer.from(key('a'), 'utf8'),
  header: { kid: 'k-a' },
  others: setUp(JSON.stringify({ kid: 'k-a', key: key('b') })).tokens,
}));

describe('signing keys', () => {
  it('are read once a minute, however much is signed and checked', async () => {
    const { manager, time, tokens } = setUp(keySet('a'));
    const signed = await Promise.all(Array.from({ length: 5 }, () => tokens.sign(VM, NOW + 60_000)));
    for (const token of signed) expect(await tokens.verify(token, NOW)).toEqual(VM);
    expect(manager.asked).toEqual(['arn']);
    time.at += 60_000;
    await tokens.sign(VM, NOW + 120_000);
    expect(manager.asked).toEqual(['arn', 'arn']);
  });

  it('rotate without a token lost: a new one is understood at once, an old one as long as its key stands', async () => {
    const { manager, time, tokens } = setUp(keySet('a'));
    const old = await tokens.sign(VM, NOW + 3_600_000);
    manager.secrets.arn = keySet('b', 'a');
    const elsewhere = new SecretTokens({ client: manager.client, arn: 'arn', time });
    time.at += 10_000;
    const young = await elsewhere.sign(VM, NOW + 3_600_000);
    expect(await tokens.verify(young, NOW)).toEqual(VM);
    expect(await tokens.verify(old, NOW)).toEqual(VM);
    manager.secrets.arn = keySet('b');
    time.at += 60_000;
    expect(await tokens.verify(old, NOW)).toBeUndefined();
    expect(await tokens.verify(young, NOW)).toEqual(VM);
  });

  it('outlast an hour in which they cannot be read, and no more; they are asked for every few seconds, not by everybody', async () => {
    const { manager, time, logged, tokens } = setUp(keySet('a'));
    const token = await tokens.sign(VM, NOW + 7_200_000);
    const foreign = await setUp(keySet('z')).tokens.sign(VM, NOW + 7_200_000);
    manager.fault.error = new Error('InternalServiceError');
    time.at += 60_000;
    for (let count = 0; count < 10; count++) {
      expect(await tokens.verify(token, time.at)).toEqual(VM);
      // Whether it is a new key nobody can say: that is no refusal.
      await expect(tokens.verify(foreign, time.at)).rejects.toThrow('InternalServiceError');
    }
    expect(manager.asked).toHaveLength(2);
    expect(logged).toEqual(['secret.unreadable']);
    time.at = NOW + 3_600_000 - 1;
    expect(await tokens.verify(await tokens.sign(VM, NOW + 7_200_000), time.at)).toEqual(VM);
    time.at++;
    await expect(tokens.verify(token, time.at)).rejects.toThrow('InternalServiceError');
    manager.fault.error = undefined;
    time.at += 5000;
    expect(await tokens.verify(token, time.at)).toEqual(VM);
    expect(await tokens.verify(foreign, time.at)).toBeUndefined();
  });

  it('are not asked for by everybody who invents a name of a key', async () => {
    const { manager, tokens } = setUp(keySet('a'));
    const foreign = await setUp(keySet('z')).tokens.sign(VM, NOW + 60_000);
    for (let time = 0; time < 20; time++) expect(await tokens.verify(foreign, NOW)).toBeUndefined();
    expect(manager.asked.length).toBe(1);
  });

  it('may be one by itself, as CloudFormation generates it; anything else is refused without being quoted', async () => {
    const one = setUp(JSON.stringify({ kid: '1', key: key('a') })).tokens;
    expect(await one.verify(await one.sign(VM, NOW + 60_000), NOW)).toEqual(VM);
    for (const text of ['hush', '{"hush": 1}', '{"keys": []}', '{"kid": "1", "key": "hush"}']) {
      const error = await setUp(text)
        .tokens.sign(VM, NOW)
        .catch((thrown: Error) => thrown);
      expect(error).toBeInstanceOf(Error);
      expect(String(error)).not.toContain('hush');
    }
  });
});

secretsContract('the secrets of an AWS installation', (id, value) => {
  const { client } = fakeSecretsManager({ [`candor/dev/t1/${id}`]: value });
  return new SecretsManagerSecrets({ client, prefix: 'candor/dev/' });
});

describe('secrets of agents', () => {
  let manager: ReturnType<typeof fakeSecretsManager>;
  let secrets: SecretsManagerSecrets;
  beforeEach(() => {
    manager = fakeSecretsManager({ 'candor/dev/t1/github': 'one', 'candor/dev/t2/github': 'two' });
    secrets = new SecretsManagerSecrets({ client: manager.client, prefix: 'candor/dev/' });
  });

  it('are the tenant’s own', async () => {
    expect(await secrets.read('t1', 'github')).toBe('one');
    expect(await secrets.read('t2', 'github')).toBe('two');
    expect(await secrets.read('t3', 'github')).toBeUndefined();
  });

  it('are absent for an id that could lead elsewhere, and nobody is asked', async () => {
    for (const id of ['../t2/github', 'a/b', '', '.x']) expect(await secrets.read('t1', id)).toBeUndefined();
    expect(await secrets.read('t1/x', 'github')).toBeUndefined();
    expect(manager.asked).toEqual([]);
  });

  it('that may not be read are absent; where nobody can say, it fails', async () => {
    const named = (name: string) => Object.assign(new Error(name), { name });
    for (const name of ['AccessDeniedException', 'InvalidRequestException']) {
      manager.fault.error = named(name);
      expect(await secrets.read('t1', 'github')).toBeUndefined();
    }
    manager.fault.error = named('InternalServiceError');
    await expect(secrets.read('t1', 'github')).rejects.toThrow('InternalServiceError');
  });
});
