/**
 * What can be asked of the API, and the least role that may ask it: one table, from which requests are judged, documents
 * are made and tests are generated. What is not in it is refused.
 */
import type { Role } from '../contract/roles.ts';

/** `public`: nobody is asked who they are. `runner`: the door of runners, which has credentials of its own. */
export type Needs = Role | 'public' | 'runner';

/** What it takes to start a run: asked of a schedule's creator at every fire, too. */
export const TO_RUN: Role = 'operator';

export const OPERATIONS = {
  getHealth: 'public',
  getOpenApi: 'public',
  getReference: 'public',
  getSystem: 'viewer',
  getAudit: 'viewer',

  listAgents: 'viewer',
  createAgent: 'editor',
  getAgent: 'viewer',
  updateAgent: 'editor',
  deleteAgent: 'editor',

  previewCadence: 'viewer',
  listAgentSchedules: 'viewer',
  createSchedule: 'editor',
  listSchedules: 'viewer',
  getSchedule: 'viewer',
  updateSchedule: 'editor',
  deleteSchedule: 'editor',
  pauseSchedule: 'operator',
  resumeSchedule: 'operator',
  triggerSchedule: TO_RUN,
  listOccurrences: 'viewer',
  listUpcoming: 'viewer',
  listScheduleRuns: 'viewer',
  explainSchedule: 'viewer',
  listRevisions: 'viewer',
  skipOccurrence: 'operator',
  unskipOccurrence: 'operator',
  startBackfill: 'operator',
  getBackfill: 'viewer',
  cancelBackfill: 'operator',

  createRun: TO_RUN,
  listRuns: 'viewer',
  getRun: 'viewer',
  cancelRun: 'operator',
  retryRun: 'operator',
  explainRun: 'viewer',
  listChildren: 'viewer',
  sealChildren: 'operator',
  getArtifact: 'viewer',
  listRunEvents: 'viewer',
  getRunLogs: 'viewer',

  listEvents: 'viewer',
  listAuditLog: 'admin',

  listVms: 'viewer',
  getVm: 'viewer',
  drainVm: 'operator',

  listWebhooks: 'viewer',
  createWebhook: 'editor',
  getWebhook: 'viewer',
  updateWebhook: 'editor',
  deleteWebhook: 'editor',
  rotateWebhookSecret: 'editor',
  testWebhook: 'operator',
  listDeliveries: 'viewer',
  getDelivery: 'viewer',
  redeliver: 'operator',

  getMe: 'viewer',
  listPrincipals: 'admin',
  createPrincipal: 'admin',
  getPrincipal: 'admin',
  updatePrincipal: 'admin',
  listKeys: 'admin',
  createKey: 'admin',
  rotateKey: 'admin',
  revokeKey: 'admin',

  registerRunner: 'runner',
  heartbeat: 'runner',
  putLogChunk: 'runner',
  putArtifact: 'runner',
} as const satisfies Readonly<Record<string, Needs>>;

export type Operation = keyof typeof OPERATIONS;

/** What concerns the tenant as a whole: a role over single agents opens none of it. */
export const OF_THE_TENANT: ReadonlySet<Operation> = new Set([
  'getAudit',
  'createAgent',
  'listAuditLog',
  'listWebhooks',
  'createWebhook',
  'getWebhook',
  'updateWebhook',
  'deleteWebhook',
  'rotateWebhookSecret',
  'testWebhook',
  'listDeliveries',
  'getDelivery',
  'redeliver',
  'listPrincipals',
  'createPrincipal',
  'getPrincipal',
  'updatePrincipal',
  'listKeys',
  'createKey',
  'rotateKey',
  'revokeKey',
] satisfies readonly Operation[]);
