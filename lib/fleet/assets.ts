/** The archives that VMs fetch, as objects in the asset bucket, each under the hash of its content. */
import { FileAssetPackaging, type FileAssetSource, type Stack } from 'aws-cdk-lib';
import { ARCHITECTURES, type Architecture, type EnvironmentConfig } from '../../config/schema.ts';
import type { FetchedArchive } from '../boot/userData.ts';
import { NODE_ARCHIVES } from '../bundle/node.ts';
import { bundleRunner } from '../bundle/runner.ts';

export interface VmAssets {
  readonly runner: FetchedArchive;
  readonly node: Readonly<Partial<Record<Architecture, FetchedArchive>>>;
  /** ARNs of the very objects, for the right to read them and no others. */
  readonly objectArns: readonly string[];
}

/** Those that a pool has. */
export const architecturesOf = (config: EnvironmentConfig): readonly Architecture[] =>
  ARCHITECTURES.filter((architecture) => config.pools.some((pool) => pool.architecture === architecture));

export function addVmAssets(stack: Stack, config: EnvironmentConfig): VmAssets {
  let bucketName: string | undefined;
  const add = (
    sha256: string,
    source: Pick<FileAssetSource, 'fileName' | 'executable' | 'packaging'>,
  ): FetchedArchive => {
    const location = stack.synthesizer.addFileAsset({ ...source, sourceHash: sha256 });
    bucketName ??= location.bucketName;
    return { url: location.httpUrl, sha256, signed: true };
  };
  const runner = bundleRunner();
  const { nodeBinary } = config.vm;
  const nodeOf = (architecture: Architecture): FetchedArchive | undefined => {
    if (nodeBinary.kind === 'url') {
      const archive = nodeBinary.archives[architecture];
      return archive === undefined ? undefined : { ...archive, signed: false };
    }
    // Fetched when it is published, from the project's root; never at synthesis, which needs no network.
    const executable = ['node', 'scripts/nodeArchive.ts', architecture];
    return add(NODE_ARCHIVES[architecture].sha256, { executable });
  };
  const node = Object.fromEntries(
    architecturesOf(config).map((architecture) => [architecture, nodeOf(architecture)] as const),
  );
  const archive = add(runner.sha256, { fileName: runner.file, packaging: FileAssetPackaging.FILE });
  // All of the bucket, not these very objects: a VM may boot from a template that stood before this deployment, or after one
  // that was rolled back. Only root on a VM has these rights, and the bucket holds what is deployed.
  return { runner: archive, node, objectArns: [`arn:${stack.partition}:s3:::${bucketName}/*`] };
}
