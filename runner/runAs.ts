/** The user that an agent's processes run as, where the runner is root: on a VM they must not reach what the runner may. */
import fs from 'node:fs';

export interface RunAs {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** @throws with a line for the operator if there is no such user, or it is root */
export function lookUpUser(user: string, passwd = fs.readFileSync('/etc/passwd', 'utf8')): RunAs {
  const entry = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === user);
  const [, , uid, gid, , home] = entry ?? [];
  if (uid === undefined || gid === undefined)
    throw new Error(`--agent-user ${user}: there is no such user in /etc/passwd`);
  if (Number(uid) === 0) throw new Error(`--agent-user ${user}: agents do not run as root`);
  return { user, uid: Number(uid), gid: Number(gid), home: home || '/' };
}

/** Lets the agent through the folders above its own, which it may not list, and gives it its own. */
export function handOver(
  runAs: RunAs | undefined,
  { through, own }: Readonly<Record<'through' | 'own', readonly string[]>>,
): void {
  if (runAs === undefined) return;
  for (const folder of through) fs.chmodSync(folder, 0o711);
  for (const file of own) fs.chownSync(file, runAs.uid, runAs.gid);
}

/** What the agent's processes must find of that user in their environment. */
export const userVariables = (runAs: RunAs | undefined): Readonly<Record<string, string>> =>
  runAs === undefined ? {} : { HOME: runAs.home, USER: runAs.user, LOGNAME: runAs.user };
