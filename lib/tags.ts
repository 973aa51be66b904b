/** The tags by which an installation knows its own. Instances read those in their metadata, which forbids `/` in a name. */
export const TAGS = {
  /** On everything; every right to change something in EC2 is tied to it. */
  installation: 'candor:installation',
  /** On an instance, set by `launch-vm`: which VM it is. */
  vm: 'candor:vm',
} as const;
