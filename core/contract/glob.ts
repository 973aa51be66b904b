/** Patterns of paths, as the runner collects artifacts by them and success criteria name them. */

/** `*` and `?` stay within a name, `**` does not. A folder's name stands for all that is in it. */
export function globPattern(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?';
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    return token === '?' ? '[^/]' : `\\${token}`;
  });
  return new RegExp(`^${source.replace(/\/$/, '')}(?:/.*)?$`, 's');
}
