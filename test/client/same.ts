/** The client's types are those of the contract: the compiler says so. */
import type {
  Agent,
  Backfill,
  CreateAgentRequest,
  DryRun,
  Explanation,
  Occurrence,
  Run,
  Schedule,
  System,
  Vm,
} from '../../client/src/index.ts';
import type { AgentBody, AgentCreateInput } from '../../core/contract/agents.ts';
import type { RunBody, VmBody } from '../../core/contract/runs.ts';
import type {
  BackfillBody,
  DryRunBody,
  ExplainBody,
  OccurrenceBody,
  ScheduleBody,
} from '../../core/contract/schedules.ts';
import type { SystemBody } from '../../core/contract/system.ts';

/** Holds where the compiler takes the one for the other: `npm run check` proves what stands below. */
type Takes<Wide, Narrow extends Wide> = Narrow;
/** What is answered has the contract's types, and the other way round; what is sent takes what the contract takes. */
export type Same = [
  Takes<AgentBody, Agent>,
  Takes<Agent, AgentBody>,
  Takes<RunBody, Run>,
  Takes<Run, RunBody>,
  Takes<ScheduleBody, Schedule>,
  Takes<Schedule, ScheduleBody>,
  Takes<OccurrenceBody, Occurrence>,
  Takes<Occurrence, OccurrenceBody>,
  Takes<ExplainBody, Explanation>,
  Takes<Explanation, ExplainBody>,
  Takes<DryRunBody, DryRun>,
  Takes<DryRun, DryRunBody>,
  Takes<BackfillBody, Backfill>,
  Takes<Backfill, BackfillBody>,
  Takes<VmBody, Vm>,
  Takes<Vm, VmBody>,
  Takes<SystemBody, System>,
  Takes<System, SystemBody>,
  Takes<CreateAgentRequest, AgentCreateInput>,
];
