/** Access to one repository (distribution's token scopes). */
export interface Scope {
  readonly repository: string;
  readonly actions: 'pull' | 'pull,push' | 'pull,push,delete';
}

export function pull(repository: string): Scope[] {
  return [{ repository, actions: 'pull' }];
}

export function push(repository: string): Scope[] {
  return [{ repository, actions: 'pull,push' }];
}

export function remove(repository: string): Scope[] {
  return [{ repository, actions: 'pull,push,delete' }];
}

/** In the form of token servers: `repository:team/app:pull`. */
export function scopeTexts(scopes: readonly Scope[]): string[] {
  return scopes.map(({ repository, actions }) => `repository:${repository}:${actions}`);
}

/** The repository in a path of the distribution API; undefined for any other path. */
export function repositoryOf({ pathname }: URL): string | undefined {
  return /^\/v2\/(.+)\/(?:manifests|blobs|referrers|tags)\//.exec(pathname)?.[1];
}

/** The scopes of the same request at another registry, which may have the repository under another name. */
export function scopesAt(url: URL, scopes: readonly Scope[]): readonly Scope[] {
  const repository = repositoryOf(url);
  const [first, ...others] = scopes;
  return repository === undefined || first === undefined ? [] : [{ ...first, repository }, ...others];
}

/**
 * The scopes that a challenge requests; none unless they include access that `asked` does not cover. Both in the form
 * of {@link scopeTexts}.
 */
export function furtherScopes(challenge: string | undefined, asked: readonly string[]): readonly string[] {
  const wanted = (challenge ?? '').split(/\s+/).filter((text) => text !== '');
  const covered = new Set(asked.flatMap(accesses));
  return wanted.flatMap(accesses).every((access) => covered.has(access)) ? [] : [...new Set(wanted)];
}

/** `repository:a:pull,push` is access to pull from a and access to push to it. */
function accesses(scope: string): string[] {
  const colon = scope.lastIndexOf(':');
  if (colon < 0) return [scope];
  return scope
    .slice(colon + 1)
    .split(',')
    .map((action) => `${scope.slice(0, colon)}:${action}`);
}
