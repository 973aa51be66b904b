/**
 * Patterns of paths, as the runner collects artifacts by them and success criteria name them. `*` and `?` stay within a
 * name, `**` does not, and a folder's name stands for all that is in it.
 */

/** The one form of all patterns that mean the same: without empty names, and without `.` for the folder itself. */
export const normalGlob = (glob: string): string =>
  glob
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/');

/**
 * Whether a path is like the pattern. An agent chooses both, so the effort is bounded by the product of their lengths: a
 * regular expression would try every way to share the path out among the wildcards.
 */
export function globMatcher(glob: string): (path: string) => boolean {
  const tokens = normalGlob(glob).match(/\*\*\/|\*\*|[\s\S]/g) ?? [];
  return (path) => {
    // Ends of the path's beginnings that the pattern so far matches: at first the empty one.
    let ends = new Uint8Array(path.length + 1);
    ends[0] = 1;
    for (const token of tokens) {
      ends = endsAfter(token, path, ends);
      if (!ends.includes(1)) return false;
    }
    return ends.some((matches, end) => matches === 1 && (end === path.length || path[end] === '/'));
  };
}

/** Which beginnings match with one token more, from those that match without it. */
function endsAfter(token: string, path: string, before: Uint8Array): Uint8Array<ArrayBuffer> {
  const after = new Uint8Array(before.length);
  /** A shorter beginning matched without the token. */
  let begun = 0;
  for (let end = 0; end < before.length; end++) {
    const last = path[end - 1];
    const without = before[end] ?? 0;
    const oneLess = before[end - 1] ?? 0;
    const longer = after[end - 1] ?? 0;
    if (token === '**/') after[end] = without | (last === '/' ? begun : 0);
    else if (token === '**') after[end] = without | longer;
    else if (token === '*') after[end] = without | (last === '/' ? 0 : longer);
    else if (token === '?') after[end] = last === '/' ? 0 : oneLess;
    else after[end] = last === token ? oneLess : 0;
    begun |= without;
  }
  return after;
}
