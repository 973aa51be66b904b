/**
 * `npm run openapi`: writes what is made of the routes and schemas: the examples (from a run of the API over a real store),
 * docs/openapi.json with them, and the client's types. Tests fail where one of these files has drifted.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PUBLIC_GROUPS } from '../adapters/http/app.ts';
import { openApiDocument } from '../adapters/http/openapi.ts';
import { examplesFile, recordExamples } from '../test/support/exampleRun.ts';
import { startHttpEngine } from '../test/support/httpWorld.ts';
import { clientContract } from './clientContract.ts';

const ROOT = path.join(import.meta.dirname, '..');

async function write(file: string, text: string): Promise<void> {
  await writeFile(path.join(ROOT, file), text);
  process.stdout.write(`wrote ${file}\n`);
}

const engine = await startHttpEngine();
const recorded = await recordExamples(engine).finally(() => engine.stop());
const examples = examplesFile(recorded);
await write('adapters/http/examples.json', examples);
// The examples that the routes have loaded are those of before.
const document = openApiDocument(PUBLIC_GROUPS, JSON.parse(examples));
const text = JSON.stringify(document, undefined, 2);
await write('docs/openapi.json', `${text}\n`);
await write('client/src/contract.ts', clientContract(JSON.parse(text)));
