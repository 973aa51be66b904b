/**
 * A fresh checkout of the agent's repository in the run's working folder. The credential is known to git's processes
 * alone, by their environment: it stands in no file, no command line and no remote, and they are gone before the agent's
 * process is started.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { RepositoryCheckout } from '../core/contract/runner.ts';
import { type Stage, Unprepared } from './stage.ts';

export interface RepositoryPlan extends RepositoryCheckout {
  readonly workingFolder: string;
  readonly env: Readonly<Record<string, string>>;
}

const USER_DEFAULT = 'x-access-token';
const COMMIT_ID = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
/** What git allows in a name, without what would make an option, an exclusion or several names of it. */
const REF = /^(?![-+^/.])(?!.*(?:\.\.|@\{|\/\/))[^\s~^:?*[\\\p{Cc}]+$/u;

/** What is to be blanked out of the log for a checkout's sake. */
export function secretsOf(repository: RepositoryCheckout): string[] {
  const { credential } = repository;
  const inUrl = splitUrl(repository.url).password;
  const raw = [credential, inUrl, inUrl && decoded(inUrl)].flatMap((value) => (value ? [value] : []));
  return [...new Set(raw.flatMap((value) => [value, encodeURIComponent(value)]))];
}

/** @throws Unprepared with what git said last, if the checkout fails */
export async function checkOut(stage: Stage, plan: RepositoryPlan, folder: string): Promise<void> {
  const { ref, timeoutMs, workingFolder } = plan;
  if (!REF.test(ref)) throw new Unprepared(`${JSON.stringify(ref)} is no branch, tag or commit id.`);
  const { url, authority, user, password } = splitUrl(plan.url);
  const credential = plan.credential ?? (password === undefined ? undefined : decoded(password));
  const askpass = path.join(folder, 'askpass');
  const env = environment(plan.env, credential === undefined ? undefined : { askpass, authority, user, credential });
  const git = (...args: string[]) => stage.command(['git', ...args], { cwd: workingFolder, env });
  stage.say(`Checkout of ${ref} begins.`);
  try {
    if (credential !== undefined) {
      fs.writeFileSync(askpass, ASKPASS, { mode: 0o700 });
      stage.handOver([askpass]);
    }
    await stage.within(timeoutMs, async () => {
      await git('init', '--quiet', '--template=');
      await git('remote', 'add', '--', 'origin', url);
      await git('checkout', '--quiet', '--detach', await fetchRef(stage, git, ref));
    });
  } finally {
    fs.rmSync(askpass, { force: true });
  }
  stage.say('Checkout ended.');
}

/** Answers what is to be checked out. */
async function fetchRef(stage: Stage, git: (...args: string[]) => Promise<void>, ref: string): Promise<string> {
  try {
    await git('fetch', '--quiet', '--no-tags', '--depth=1', 'origin', ref);
    return 'FETCH_HEAD';
  } catch (error) {
    stage.check();
    if (!(error instanceof Unprepared)) throw error;
    // Not every server gives out a single commit, or a part of the history.
    stage.say('The server did not give out this revision alone; more of the history is fetched.');
  }
  if (!COMMIT_ID.test(ref)) {
    await git('fetch', '--quiet', '--no-tags', 'origin', ref);
    return 'FETCH_HEAD';
  }
  await git('fetch', '--quiet', 'origin', '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*');
  return ref;
}

interface Login {
  readonly askpass: string;
  readonly authority: string;
  readonly user: string | undefined;
  readonly credential: string;
}

/** Answers git's questions for the server that the credential is for, and for no other that it may be sent on to. */
const ASKPASS = `#!/bin/sh
case "$1" in
  Username*"//$CANDOR_GIT_AUTHORITY'"*) printf '%s\\n' "$CANDOR_GIT_USER" ;;
  Password*"@$CANDOR_GIT_AUTHORITY'"* | Password*"//$CANDOR_GIT_AUTHORITY'"*) printf '%s\\n' "$CANDOR_GIT_CREDENTIAL" ;;
  *) exit 1 ;;
esac
`;

/** No configuration of the machine or of a user counts, nothing is asked at a terminal, nothing is left running. */
function environment(base: RepositoryPlan['env'], login: Login | undefined): Record<string, string> {
  return {
    ...base,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: '3',
    GIT_CONFIG_KEY_0: 'credential.helper',
    GIT_CONFIG_VALUE_0: '',
    GIT_CONFIG_KEY_1: 'gc.auto',
    GIT_CONFIG_VALUE_1: '0',
    GIT_CONFIG_KEY_2: 'maintenance.auto',
    GIT_CONFIG_VALUE_2: 'false',
    GIT_TERMINAL_PROMPT: '0',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes',
    GIT_ALLOW_PROTOCOL: 'https:http:ssh:git:file',
    ...(login && {
      GIT_ASKPASS: login.askpass,
      CANDOR_GIT_AUTHORITY: login.authority,
      CANDOR_GIT_USER: login.user ?? USER_DEFAULT,
      CANDOR_GIT_CREDENTIAL: login.credential,
    }),
  };
}

interface SplitUrl {
  /** Without a password. */
  readonly url: string;
  readonly authority: string;
  readonly user?: string;
  readonly password?: string;
}

/** By its letters and not by a parser of URLs, as git shows it the way that it was written. */
function splitUrl(url: string): SplitUrl {
  const parts = /^(https?:\/\/)(?:([^/?#@:]*)(?::([^/?#@]*))?@)?([^/?#@]*)(.*)$/is.exec(url);
  if (!parts) return { url, authority: '' };
  const [, scheme = '', user, password, authority = '', rest = ''] = parts;
  return {
    url: `${scheme}${user ? `${user}@` : ''}${authority}${rest}`,
    authority,
    ...(user && { user: decoded(user) }),
    ...(password && { password }),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
