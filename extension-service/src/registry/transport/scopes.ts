/** Access to one repository (distribution's token scopes). */
export interface Scope {
  readonly repository: string;
  readonly actions: 'pull' | 'pull,push';
}

export function pull(repository: string): Scope[] {
  return [{ repository, actions: 'pull' }];
}

export function push(repository: string): Scope[] {
  return [{ repository, actions: 'pull,push' }];
}

/** As a token server reads them: `repository:team/app:pull`. */
export function scopeTexts(scopes: readonly Scope[]): string[] {
  return scopes.map(({ repository, actions }) => `repository:${repository}:${actions}`);
}
