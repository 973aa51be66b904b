/** Starts and stops the parts of `candor dev`, in the order that loses nothing. */
import { setTimeout as pause } from 'node:timers/promises';
import { type ServerType, serve } from '@hono/node-server';
import { createApp, type Features } from '../../adapters/http/app.ts';
import { composeAuthenticate } from '../../adapters/http/authenticate.ts';
import { type OidcConfig, oidcUsers } from '../../adapters/http/oidc.ts';
import { type DataDir, openDataDir, prepareDataDir } from '../../adapters/local/dataDir.ts';
import { type Engine, endLeftoverEngine, startEngine } from '../../adapters/local/engine.ts';
import { hasCode } from '../../adapters/local/files.ts';
import { acquireLock, type DataDirLock } from '../../adapters/local/lock.ts';
import { LocalRates } from '../../adapters/local/rates.ts';
import { LocalSetupError } from '../../adapters/local/setupError.ts';
import { LOCAL_ADMIN, LOCAL_TENANT } from '../../core/access/principals.ts';
import type { CoreConfig } from '../../core/config.ts';
import { liveRuns } from '../../core/live.ts';
import type { Log } from '../../core/ports.ts';
import { placeRun } from '../../core/runs/place.ts';
import type { DevArgs } from './main.ts';
import { composeParts, type Parts } from './parts.ts';
import { localConfig, localFeatures, localOidc } from './settings.ts';
import { endLiveWork } from './shutdown.ts';

export interface StopOptions {
  readonly keep: boolean;
  /** Resolves when the user will not wait any longer. */
  readonly hurry: Promise<unknown>;
  readonly say: (line: string) => void;
}

export interface DevServer {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
  readonly enginePid: number | undefined;
  /** Resolves if the engine dies: nothing can be known or promised from then on. */
  readonly broken: Promise<{ readonly kind: 'broken'; readonly detail: string }>;
  stop(options: StopOptions): Promise<void>;
  /** Lets go without touching the work. */
  abandon(): Promise<void>;
}

const HOST = '127.0.0.1';
const ABANDON_MS = 1000;
const WEBHOOKS_MS = 3000;

/** @throws LocalSetupError with what to do, when the machine or the data folder does not allow it */
export async function startDev(args: DevArgs & { readonly log: Log }): Promise<DevServer> {
  const config = localConfig(args.environment.CANDOR_CONFIG);
  const features = localFeatures(args.environment.CANDOR_FEATURES_SCHEDULES);
  const oidc = localOidc(args.environment.CANDOR_OIDC);
  const dataDirPath = await prepareDataDir(args.dataDir);
  const lock = await acquireLock(dataDirPath);
  let engine: Engine | undefined;
  try {
    const dataDir = await openDataDir(dataDirPath, Date.now(), { rotateSigningKey: args.rotateSigningKey === true });
    const broken = Promise.withResolvers<{ readonly kind: 'broken'; readonly detail: string }>();
    const external = args.environment.CANDOR_DYNAMODB_ENDPOINT;
    if (external === undefined || external === '') {
      await endLeftoverEngine(dataDir.databasePath, args.log);
      engine = await startEngine({
        dbPath: dataDir.databasePath,
        log: args.log,
        onExit: (detail) => broken.resolve({ kind: 'broken', detail: `the DynamoDB engine has ended: ${detail}` }),
      });
    }
    return await startParts(
      args,
      { dataDir, lock, engine, endpoint: engine?.endpoint ?? external ?? '', config, features, oidc },
      broken.promise,
    );
  } catch (error) {
    await engine?.stop();
    await lock.release();
    throw error;
  }
}

interface Ground {
  readonly dataDir: DataDir;
  readonly lock: DataDirLock;
  readonly engine: Engine | undefined;
  readonly endpoint: string;
  readonly config: CoreConfig;
  readonly features: Features;
  readonly oidc: OidcConfig | undefined;
}

async function startParts(
  args: DevArgs & { readonly log: Log },
  ground: Ground,
  broken: DevServer['broken'],
): Promise<DevServer> {
  const { dataDir, lock, engine } = ground;
  const { token, signingKey, previousSigningKey, sealingKey, port: lastPort } = dataDir.server();
  let url = '';
  const parts = await composeParts({
    endpoint: ground.endpoint,
    dataDir: dataDir.path,
    signingKeys: previousSigningKey === undefined ? [signingKey] : [signingKey, previousSigningKey],
    sealingKey,
    allowPrivateWebhooks: args.allowPrivateWebhooks === true,
    serverUrl: () => url,
    environment: args.environment,
    log: args.log,
    config: ground.config,
    features: ground.features,
    launches: args.launches ?? 'here',
  });
  const admin = { tenantId: LOCAL_TENANT, principalId: LOCAL_ADMIN };
  const users = ground.oidc && oidcUsers(parts.ports, ground.oidc, LOCAL_TENANT);
  const app = createApp({
    ports: parts.ports,
    authenticate: composeAuthenticate({ ports: parts.ports, adminToken: token, admin, users }),
    rates: new LocalRates({ requestsPerMinute: ground.config.maxRequestsPerMinute, time: parts.ports.time }),
    features: ground.features,
  });
  const http = await listen(app.fetch, args.port ?? lastPort ?? 0);
  const letGo = async () => {
    parts.beginStop();
    // What is under way may wait for a table that will not answer; and the loops, if they went on, would keep the process.
    const loops = [
      parts.clock.stop(),
      parts.watchdog.stop(),
      parts.events.stop(),
      parts.webhooks.stop(),
      parts.workflow.close(),
    ];
    await Promise.race([Promise.allSettled(loops), pause(ABANDON_MS, undefined, { ref: false })]);
    await parts.fleet.close({ keep: true });
    await http.close();
  };
  const close = async () => {
    await http.close();
    await engine?.stop();
    await dataDir.removeEndpoint(process.pid);
    await lock.release();
  };
  try {
    url = `http://${HOST}:${http.port}`;
    await dataDir.rememberPort(http.port);
    lock.describe({ url });
    await parts.fleet.adopt();
    await resumeExecutions(parts);
    await parts.startClock();
    parts.events.start();
    parts.webhooks.start();
    parts.watchdog.start();
    await dataDir.publishEndpoint({ url, token, pid: process.pid });
  } catch (error) {
    await letGo();
    throw error;
  }
  return {
    url,
    token,
    dataDir: dataDir.path,
    enginePid: engine?.pid,
    broken,
    stop: async (options) => {
      await stopParts(parts, options);
      await close();
    },
    abandon: async () => {
      await letGo();
      await close();
    },
  };
}

/** Executions live in memory only; every state of the file is re-entrant, so those that had not ended are started again. */
async function resumeExecutions(parts: Parts): Promise<void> {
  for (const run of await liveRuns(parts.ports)) {
    if (run.status === 'queued' || run.status === 'provisioning') await placeRun(parts.ports, run);
  }
}

async function stopParts(parts: Parts, options: StopOptions): Promise<void> {
  await parts.clock.stop();
  if (!options.keep) await endLiveWork(parts.ports, options);
  parts.beginStop();
  await parts.watchdog.stop();
  await parts.fleet.close({ keep: options.keep });
  if (!options.keep) await endLiveWork(parts.ports, { ...options, hurry: Promise.resolve() });
  await Promise.race([parts.workflow.close(), pause(2000, undefined, { ref: false })]);
  await parts.events.stop();
  // One that does not answer is sent again by the next start: nobody waits for its whole time here.
  await Promise.race([parts.webhooks.stop(), options.hurry, pause(WEBHOOKS_MS, undefined, { ref: false })]);
}

interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

function listen(fetch: Parameters<typeof serve>[0]['fetch'], port: number): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server: ServerType = serve({ fetch, hostname: HOST, port }, (info) => {
      server.off('error', refused);
      resolve({
        port: info.port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            if ('closeAllConnections' in server) server.closeAllConnections();
          }),
      });
    });
    const refused = (error: unknown) => {
      if (!hasCode(error, 'EADDRINUSE')) return reject(error);
      reject(
        new LocalSetupError(
          `port ${port} is in use by another program`,
          'Free it, or choose another with --port N (live runs of this data folder look for the server on the old one).',
        ),
      );
    };
    server.on('error', refused);
  });
}
