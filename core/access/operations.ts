/**
 * What can be asked of the API, and the least role that may ask it: one table, from which requests are judged, documents
 * are made and tests are generated. What is not in it is refused.
 */

/** From the least to the most: each may do what those before it may. */
export const ROLES = ['viewer', 'operator', 'editor', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** `public`: nobody is asked who they are. `runner`: the door of runners, which has credentials of its own. */
export type Needs = Role | 'public' | 'runner';

export const OPERATIONS = {
  getHealth: 'public',
  getOpenApi: 'public',
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
  triggerSchedule: 'operator',
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

  createRun: 'operator',
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

  registerRunner: 'runner',
  heartbeat: 'runner',
  putLogChunk: 'runner',
  putArtifact: 'runner',
} as const satisfies Readonly<Record<string, Needs>>;

export type Operation = keyof typeof OPERATIONS;
