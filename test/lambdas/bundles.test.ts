/** What each function's bundle holds. The AWS clients are what a cold start pays for, so each is listed here. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';

const LAMBDAS = path.join(import.meta.dirname, '../../lambdas');
const SUPPORT = ['environment.ts', 'executionEvent.ts', 'log.ts', 'wrap.ts'];
const EVERYWHERE = ['dynamodb', 'sfn'];
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  'fire.ts': [],
  'await-ready.ts': [],
  'dispatch-run.ts': [],
  'fail-run.ts': [],
  'launch-vm.ts': ['ec2'],
  'release-vm.ts': ['ec2'],
  'execution-ended.ts': ['ec2'],
  'watchdog.ts': ['ec2', 'scheduler'],
  'events.ts': ['ec2', 'scheduler'],
  'register.ts': ['secrets-manager'],
  // It is open to everybody who reaches it: it has no client that could end a machine.
  'api.ts': ['s3', 'scheduler', 'secrets-manager'],
};

interface Bundle {
  readonly bytes: number;
  readonly inputs: readonly string[];
}

const OPTIONS = { bundle: true, platform: 'node', target: 'node24', format: 'cjs', minify: true } as const;

async function bundle(entry: { readonly file: string } | { readonly code: string }): Promise<Bundle> {
  const { metafile } = await build({
    ...OPTIONS,
    ...('file' in entry
      ? { entryPoints: [path.join(LAMBDAS, entry.file)] }
      : { stdin: { contents: entry.code, resolveDir: LAMBDAS } }),
    mainFields: ['module', 'main'],
    metafile: true,
    write: false,
    outfile: 'bundle.cjs',
  });
  const [output] = Object.values(metafile.outputs);
  const inputs = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { bytes: output?.bytes ?? 0, inputs: inputs.map(([file]) => file) };
}

const clientsOf = ({ inputs }: Bundle) =>
  [...new Set(inputs.flatMap((file) => /@aws-sdk\/client-([a-z0-9-]+)/.exec(file)?.[1] ?? []))].sort();

describe('the bundle of', () => {
  it('every function is listed here', () => {
    const files = readdirSync(LAMBDAS).filter((file) => file.endsWith('.ts') && !SUPPORT.includes(file));
    expect(Object.keys(CLIENTS).sort()).toEqual(files.sort());
  });

  it.each(Object.entries(CLIENTS))(
    '%s has the clients that it calls, and no other (%j besides the two of all)',
    async (file, clients) => {
      expect(clientsOf(await bundle({ file }))).toEqual([...EVERYWHERE, ...clients].sort());
    },
  );

  it('fire has at most 1.3 times the bytes of the bare clients that it uses (design.md §10)', async () => {
    const dynamodb =
      'BatchGetItemCommand DeleteItemCommand GetItemCommand PutItemCommand QueryCommand TransactWriteItemsCommand UpdateItemCommand';
    const sfn = 'StartExecutionCommand StopExecutionCommand SendTaskSuccessCommand';
    const commands = (names: string) => names.split(' ').join(', ');
    const bare = await bundle({
      code: `import { DynamoDBClient, ${commands(dynamodb)} } from '@aws-sdk/client-dynamodb';
        import { SFNClient, ${commands(sfn)} } from '@aws-sdk/client-sfn';
        export const all = [new DynamoDBClient({}), new SFNClient({}), ${commands(dynamodb)}, ${commands(sfn)}];`,
    });
    const fire = await bundle({ file: 'fire.ts' });
    expect(fire.bytes / bare.bytes).toBeLessThanOrEqual(1.3);
    // One careless import of a schema brings it back, and with it as much as all of Candor's own code.
    expect(fire.inputs.filter((file) => file.includes('node_modules/zod'))).toEqual([]);
  });
});
