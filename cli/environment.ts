/** The only file of the command that reads the process's environment. */

export interface Environment {
  /** Where the server is, if not in `endpoint.json`. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly dataDir: string;
  /** The installation on AWS, for what is done there without its API. */
  readonly installation: string | undefined;
  /** `auto`: if the output is a terminal. */
  readonly colour: 'always' | 'never' | 'auto';
  /** All of it, for `candor dev`, whose parts have settings of their own. */
  readonly variables: Readonly<Record<string, string | undefined>>;
}

const DEFAULT_DATA_DIR = '.candor';

/** An empty variable counts as one that is not set. */
export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): Environment {
  return {
    url: variables.CANDOR_URL || undefined,
    // A run finds its own token under another name, so that it never passes for its owner by accident.
    token: variables.CANDOR_TOKEN || variables.CANDOR_RUN_TOKEN || undefined,
    dataDir: variables.CANDOR_DATA_DIR || DEFAULT_DATA_DIR,
    installation: variables.CANDOR_INSTALLATION || undefined,
    colour: colourOf(variables),
    variables,
  };
}

/** FORCE_COLOR outranks NO_COLOR (https://no-color.org), as in Node itself. */
function colourOf(variables: NodeJS.ProcessEnv): Environment['colour'] {
  const force = variables.FORCE_COLOR;
  if (force !== undefined && force !== '') return force === '0' || force === 'false' ? 'never' : 'always';
  return variables.NO_COLOR || variables.TERM === 'dumb' ? 'never' : 'auto';
}
