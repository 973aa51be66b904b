/** Proof of life of the parts that are functions: at most once a minute from each of their instances. */
import type { Ports } from '../../core/ports.ts';
import { proofPublisher, type SystemPart } from '../../core/system.ts';

const EVERY_MS = 60_000;

let publish: ReturnType<typeof proofPublisher> | undefined;

export function publishSeen(
  ports: Ports,
  part: SystemPart,
  owner: string,
  detail: Readonly<Record<string, string | number>> = {},
  at?: number,
): Promise<void> {
  publish ??= proofPublisher(ports, EVERY_MS);
  return publish(part, { owner, detail, ...(at !== undefined && { at }) });
}
