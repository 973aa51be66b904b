/**
 * EC2's error codes as classes (design.md §5.3), as data. The class says what to do next; which typed error the state machine
 * sees follows from all classes of one answer. Sources: the EC2 API reference, "Error codes", and what CreateFleet of type
 * `instant` is known to answer in `Errors[].ErrorCode`.
 */
import {
  CapacityUnavailable,
  type LaunchFacts,
  type LaunchFailed,
  LaunchMisconfigured,
  LaunchThrottled,
  QuotaExceeded,
  type Tried,
  triedText,
} from '../../core/vms/launchErrors.ts';

/**
 * POOL: this kind of machine has no room there. SUBNET: no address is left in it. SPOT: no spot instance for this account now.
 * QUOTA: the account's limits. THROTTLE: EC2 itself, for a moment. CONFIG: what we ask for is wrong. UNKNOWN: not in the table.
 */
export type LaunchErrorClass = 'POOL' | 'SUBNET' | 'SPOT' | 'QUOTA' | 'THROTTLE' | 'CONFIG' | 'UNKNOWN';

/** A `*` at the end stands for anything. The longest name that fits decides, so an exact one stands above a pattern. */
export const EC2_ERROR_CLASSES: readonly (readonly [name: string, errorClass: LaunchErrorClass])[] = [
  ['InsufficientInstanceCapacity', 'POOL'],
  ['InsufficientHostCapacity', 'POOL'],
  ['InsufficientReservedInstanceCapacity', 'POOL'],
  ['InsufficientCapacity', 'POOL'],
  ['InsufficientCapacityOnHost', 'POOL'],
  ['UnfulfillableCapacity', 'POOL'],
  ['ReservationCapacityExceeded', 'POOL'],
  ['SpotMaxPriceTooLow', 'POOL'],
  ['Unsupported', 'POOL'],

  ['InsufficientFreeAddressesInSubnet', 'SUBNET'],

  ['MaxSpotInstanceCountExceeded', 'SPOT'],
  ['MaxSpotFleetRequestCountExceeded', 'SPOT'],
  ['AuthFailure.ServiceLinkedRoleCreationNotPermitted', 'SPOT'],

  ['VcpuLimitExceeded', 'QUOTA'],
  ['InstanceLimitExceeded', 'QUOTA'],
  ['MaxFleetCountExceeded', 'QUOTA'],
  ['VolumeLimitExceeded', 'QUOTA'],
  ['MaxIOPSLimitExceeded', 'QUOTA'],
  ['PendingVerification', 'QUOTA'],

  ['RequestLimitExceeded', 'THROTTLE'],
  ['Throttling*', 'THROTTLE'],
  ['EC2ThrottledException', 'THROTTLE'],
  ['InternalError', 'THROTTLE'],
  ['InternalFailure', 'THROTTLE'],
  ['Unavailable', 'THROTTLE'],
  ['ServiceUnavailable', 'THROTTLE'],

  ['InvalidAMIID.*', 'CONFIG'],
  ['InvalidLaunchTemplate*', 'CONFIG'],
  ['InvalidSubnetID*', 'CONFIG'],
  ['InvalidGroup*', 'CONFIG'],
  ['InvalidSecurityGroup*', 'CONFIG'],
  ['InvalidParameter*', 'CONFIG'],
  ['InvalidIamInstanceProfile*', 'CONFIG'],
  ['InvalidKeyPair*', 'CONFIG'],
  ['InvalidInstanceType*', 'CONFIG'],
  ['InvalidFleetConfig*', 'CONFIG'],
  ['InvalidBlockDeviceMapping', 'CONFIG'],
  ['InvalidSnapshot*', 'CONFIG'],
  ['InvalidNetworkInterface*', 'CONFIG'],
  ['InvalidVpcID*', 'CONFIG'],
  ['InvalidTag*', 'CONFIG'],
  ['InvalidUserData*', 'CONFIG'],
  ['MissingParameter', 'CONFIG'],
  ['UnknownParameter', 'CONFIG'],
  ['MalformedQueryString', 'CONFIG'],
  ['UnauthorizedOperation', 'CONFIG'],
  ['AuthFailure', 'CONFIG'],
  ['AccessDenied*', 'CONFIG'],
  ['ExpiredToken*', 'CONFIG'],
  ['UnrecognizedClientException', 'CONFIG'],
  ['OptInRequired', 'CONFIG'],
  ['Blocked', 'CONFIG'],
];

const EXACT = new Map(EC2_ERROR_CLASSES.filter(([name]) => !name.endsWith('*')));
const PREFIXES = EC2_ERROR_CLASSES.filter(([name]) => name.endsWith('*'))
  .map(([name, errorClass]) => ({ prefix: name.slice(0, -1), errorClass }))
  .sort((left, right) => right.prefix.length - left.prefix.length);

/** @param httpStatus of an error that was thrown: a server's failure is one by whatever name it comes */
export function classOf(code: string, httpStatus?: number): LaunchErrorClass {
  const known = EXACT.get(code) ?? PREFIXES.find(({ prefix }) => code.startsWith(prefix))?.errorClass;
  return known ?? (httpStatus !== undefined && httpStatus >= 500 ? 'THROTTLE' : 'UNKNOWN');
}

/** Most hopeful first: where several pools answered differently, the one that may soon have room sets the pace. */
const HOPE: readonly LaunchErrorClass[] = ['THROTTLE', 'POOL', 'SUBNET', 'SPOT', 'QUOTA', 'UNKNOWN', 'CONFIG'];

export const mostHopeful = (classes: readonly LaunchErrorClass[]): LaunchErrorClass =>
  HOPE.find((each) => classes.includes(each)) ?? 'UNKNOWN';

type LaunchErrorType = new (detail: string, tried: readonly Tried[], facts: LaunchFacts) => LaunchFailed;

/** What is not known fails closed: to ask again and again for something nobody understands would hide it. */
const ERROR_TYPES: Readonly<Record<LaunchErrorClass, LaunchErrorType>> = {
  POOL: CapacityUnavailable,
  SUBNET: CapacityUnavailable,
  SPOT: CapacityUnavailable,
  QUOTA: QuotaExceeded,
  THROTTLE: LaunchThrottled,
  UNKNOWN: LaunchMisconfigured,
  CONFIG: LaunchMisconfigured,
};

const SENTENCES: Readonly<Record<LaunchErrorClass, string>> = {
  POOL: 'no pool has room',
  SUBNET: 'no subnet has an address left',
  SPOT: 'no spot instance is given to this account now',
  QUOTA: "the account's quota is used up",
  THROTTLE: 'EC2 does not take the request now',
  UNKNOWN: 'EC2 gave an answer that Candor does not know',
  CONFIG: 'EC2 refuses what was asked for',
};

/** The typed error for one answer. `message` is EC2's own text, where there is one that helps. */
export function launchError(
  errorClass: LaunchErrorClass,
  tried: readonly Tried[],
  message: string | undefined,
  facts: LaunchFacts = {},
): LaunchFailed {
  const said = message === undefined || message === '' ? '' : ` (${message.slice(0, 300)})`;
  const where = tried.length === 0 ? '' : `: ${tried.map(triedText).join(', ')}`;
  return new ERROR_TYPES[errorClass](`${SENTENCES[errorClass]}${where}${said}`, tried, facts);
}
