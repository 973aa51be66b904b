/** Imported before a worker: loads Candor without the fence that `CANDOR_SIM_WITHOUT` names. */
import { registerHooks } from 'node:module';
import { FENCES, fileOf, withoutFence } from './fences.ts';

const name = process.env.CANDOR_SIM_WITHOUT ?? '';
const files = new Set(FENCES[name]?.edits.map(({ file }) => file));

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith('file:') || !files.has(fileOf(url))) return loaded;
    return { ...loaded, source: withoutFence(name, fileOf(url), String(loaded.source)) };
  },
});
