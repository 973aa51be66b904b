import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { publicDocument } from '../../../adapters/http/app.ts';
import { CONTENT_SECURITY_POLICY, referencePage } from '../../../adapters/http/reference/page.ts';

const document = publicDocument() as { readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
const page = referencePage(publicDocument());

it('has every operation and every schema of the document, and each link within it leads somewhere', () => {
  const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  const operations = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map((each) => (each as { operationId: string }).operationId),
  );
  expect(operations.filter((each) => !ids.has(each))).toEqual([]);
  const targets = [...page.matchAll(/href="#([^"]+)"/g)].map(([, target]) => target);
  expect(targets.length).toBeGreaterThan(200);
  expect(targets.filter((target) => !ids.has(target))).toEqual([]);
});

it('loads nothing and runs nothing: its policy allows its own style and no more', () => {
  expect(page).not.toMatch(/<script|<img|<link|<iframe|\son\w+=|\sstyle=|javascript:|(src|href)="(?!#|openapi\.json")/);
  const [, style = ''] = /<style>([\s\S]*)<\/style>/.exec(page) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  expect(CONTENT_SECURITY_POLICY).toContain(`style-src 'sha256-${hash}'`);
  expect(CONTENT_SECURITY_POLICY).toContain("default-src 'none'");
});

it('shows what stands in the document as text, whatever it is', () => {
  const hostile = '<script>alert("1")</script>';
  const altered = referencePage({
    ...publicDocument(),
    info: { title: hostile, summary: hostile, description: hostile },
    tags: [{ name: hostile, description: `\`${hostile}\`` }],
  });
  expect(altered).not.toContain('<script');
  expect(altered).toContain('&lt;script&gt;');
});

it('is well-formed: every element that is opened is closed, in order', () => {
  const open: string[] = [];
  for (const [, closing, name = ''] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*>/g)) {
    if (name === 'meta') continue;
    if (closing === '') open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
});
