/** What an agent's VM must have: options of creating and changing an agent. */
import { type Command, Option } from 'commander';
import { ARCHITECTURES, MARKET_WISHES } from '../../core/contract/agentParts.ts';
import { collect, mergedFields, NONE, wholeNumber, wholeNumberOrNone } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { orNoneText } from './timeoutOptions.ts';

type Count = number | typeof NONE;

export interface RequirementOptions {
  readonly vcpu?: Count;
  readonly memoryMib?: Count;
  readonly diskGib?: Count;
  readonly architecture?: string;
  readonly market?: string;
  readonly instanceType?: readonly string[];
  readonly image?: string;
}

/** On one machine they are kept and shown, and nothing is checked. */
export function requirementOptions(command: Command, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  const number = isChange ? wholeNumberOrNone : wholeNumber;
  const choice = (flags: string, text: string, values: readonly string[]) =>
    new Option(flags, `${text}${orNone}`).choices(isChange ? [...values, NONE] : values);
  return command
    .option('--vcpu <n>', `at least so many vCPUs${orNone}`, number(1, 896))
    .option('--memory-mib <n>', `at least so much memory${orNone}`, number(128, 33_554_432))
    .option('--disk-gib <n>', `so much disk${orNone}`, number(8, 16_384))
    .addOption(choice('--architecture <name>', 'of the VM', ARCHITECTURES))
    .addOption(choice('--market <name>', 'how the VM is paid for', MARKET_WISHES))
    .option(
      '--instance-type <type>',
      `only these EC2 instance types (repeatable)${isChange ? `, or ${NONE}` : ''}`,
      collect,
    )
    .option('--image <ami>', `an AMI of your own${orNone}`);
}

/** As {@link mergedFields}. @param present what stands, so that its neighbours are kept */
export const requirementFields = (options: RequirementOptions, present?: object) =>
  mergedFields(present, {
    vcpu: options.vcpu,
    memoryMiB: options.memoryMib,
    diskGiB: options.diskGib,
    architecture: options.architecture,
    market: options.market,
    instanceTypes: instanceTypesOf(options.instanceType),
  });

function instanceTypesOf(types: readonly string[] | undefined): readonly string[] | typeof NONE | undefined {
  if (!types?.includes(NONE)) return types;
  if (types.length > 1) throw new UsageError(`--instance-type ${NONE} does not go with other types.`);
  return NONE;
}
