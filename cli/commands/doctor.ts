/** `candor doctor`: checks a deployment, or a data folder of this machine, and says what to do. */
import { readFile, statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import {
  auditFinding,
  clockFinding,
  diskFinding,
  type Finding,
  isWell,
  partFinding,
  schemaFinding,
  watchdogFindings,
} from '../doctor.ts';
import { CliError, EXIT } from '../errors.ts';
import type { Host, Session } from '../session.ts';
import { type Colour, inline } from '../text.ts';
import { examples, subcommand } from './options.ts';

/** Adds `doctor` to the program. */
export function addDoctorCommand(program: Command, host: Host): void {
  const doctor = subcommand(program, 'doctor', 'check the server and this machine, and say what to do');
  examples(doctor, 'candor doctor', 'candor doctor --data-dir /var/lib/candor --json');
  host.serve(doctor, async (session) => {
    const findings = [...(await ofServer(session)), ...(await ofFolder(session.dataDir))];
    const well = isWell(findings);
    await (session.json ? session.out.json({ well, findings }) : session.out.line(textOf(session, findings)));
    return well ? EXIT.ok : EXIT.notWell;
  });
}

/** What stops one question from being answered is the finding then; the others are asked all the same. */
async function ofServer(session: Session): Promise<readonly Finding[]> {
  const { client } = session;
  const findings: Finding[] = [];
  const reached = await asked(findings, 'server', async () => {
    const sentAt = Date.now();
    const { asOf } = await client.call('getHealth');
    const answeredAt = Date.now();
    findings.push({ check: 'server', level: 'ok', detail: `it answers in ${answeredAt - sentAt} ms` });
    findings.push(clockFinding(Date.parse(asOf), sentAt, answeredAt));
  });
  if (!reached) return findings;
  await asked(findings, 'token', async () => {
    const system = await client.call('getSystem');
    findings.push({ check: 'token', level: 'ok', detail: 'the server takes it' });
    findings.push(schemaFinding(system, await schemaOf(session.dataDir)));
    findings.push(...system.parts.map(partFinding), ...watchdogFindings(system));
    findings.push(auditFinding(await client.call('getAudit')));
  });
  return findings;
}

async function asked(findings: Finding[], check: string, ask: () => Promise<void>): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch (error) {
    if (!(error instanceof CliError) || error.exitCode === EXIT.interrupted) throw error;
    const { message: detail, remedy } = error;
    findings.push({ check, level: 'failure', detail, ...(remedy !== undefined && { remedy }) });
    return false;
  }
}

/** Nothing where there is no such folder: then the server is elsewhere. */
async function ofFolder(dataDir: string): Promise<readonly Finding[]> {
  try {
    const { bavail, bsize } = await statfs(path.resolve(dataDir));
    return [diskFinding(bavail * bsize, dataDir)];
  } catch {
    return [];
  }
}

async function schemaOf(dataDir: string): Promise<number | undefined> {
  try {
    const content = JSON.parse(await readFile(path.join(dataDir, 'server.json'), 'utf8')) as {
      schemaVersion?: unknown;
    };
    return typeof content.schemaVersion === 'number' ? content.schemaVersion : undefined;
  } catch {
    return undefined;
  }
}

const COLOURS: Readonly<Record<Finding['level'], Colour>> = { ok: 'green', warning: 'yellow', failure: 'red' };

function textOf({ out: { paint } }: Session, findings: readonly Finding[]): string {
  return findings
    .flatMap(({ check, level, detail, remedy }) => [
      `${paint(COLOURS[level], level.padEnd(8))} ${check.padEnd(14)} ${inline(detail)}`,
      ...(remedy === undefined ? [] : [`${' '.repeat(24)}${inline(remedy)}`]),
    ])
    .join('\n');
}
