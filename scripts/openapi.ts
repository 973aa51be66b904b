/** `npm run openapi`: writes docs/openapi.json from the routes and schemas; a test fails where the file has drifted. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { publicDocument } from '../adapters/http/app.ts';

const file = path.join(import.meta.dirname, '../docs/openapi.json');
await writeFile(file, `${JSON.stringify(publicDocument(), undefined, 2)}\n`);
process.stdout.write(`wrote ${path.relative(process.cwd(), file)}\n`);
