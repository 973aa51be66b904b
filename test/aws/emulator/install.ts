/** Puts the pinned emulator into a Python environment of its own, in the ignored folder `.tools/`. Done once per pin. */
import { fileURLToPath } from 'node:url';
import { type Installed, installPythonTool } from '../../support/pythonTool.ts';

export { type Installed, ToolSetupError as EmulatorSetupError } from '../../support/pythonTool.ts';

const REQUIREMENTS = fileURLToPath(new URL('./requirements.txt', import.meta.url));

/** @throws EmulatorSetupError */
export const installEmulator = (say: (line: string) => void): Promise<Installed> =>
  installPythonTool('ministack', REQUIREMENTS, say);
