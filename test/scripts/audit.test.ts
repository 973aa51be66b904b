import { expect, it } from 'vitest';
import { type Exception, Exceptions, judge, readExceptions } from '../../scripts/audit.ts';

const advisory = 'GHSA-2345-6789-cfgh';
const report = JSON.stringify({
  auditReportVersion: 2,
  vulnerabilities: {
    leaf: {
      name: 'leaf',
      via: [{ name: 'leaf', title: 'it leaks', url: `https://github.com/advisories/${advisory}` }],
    },
    root: { name: 'root', via: ['leaf'] },
  },
});
const exception: Exception = {
  advisory,
  package: 'leaf',
  reason: 'only its command line is vulnerable, and nobody starts that',
  until: '2027-06-30',
};

it('finds what is vulnerable, unless an exception that still holds says why it may be', () => {
  expect(judge(report, [], '2027-01-01')).toEqual([`leaf: it leaks (${advisory})`]);
  expect(judge(report, [exception], '2027-01-01')).toEqual([]);
  expect(judge(report, [exception], '2027-07-01')).toEqual([`leaf: it leaks (${advisory})`]);
  expect(judge(report, [{ ...exception, package: 'root' }], '2027-01-01')).toHaveLength(1);
});

it('wants exceptions taken out that are needed no more', () => {
  const clean = JSON.stringify({ auditReportVersion: 2, vulnerabilities: {} });
  expect(judge(clean, [], '2027-01-01')).toEqual([]);
  expect(judge(clean, [exception], '2027-01-01')).toMatchObject([expect.stringContaining('take the exception out')]);
});

it('takes an answer that is no report for no answer', () => {
  for (const text of ['', 'npm error', '{"statusCode":405}']) expect(judge(text, [], '2027-01-01')).toBeUndefined();
});

it('reads exceptions that have a reason and an end', () => {
  expect(Array.isArray(readExceptions())).toBe(true);
  expect(Exceptions.safeParse([{ ...exception, reason: 'because' }]).success).toBe(false);
  expect(Exceptions.safeParse([{ ...exception, until: 'never' }]).success).toBe(false);
});
