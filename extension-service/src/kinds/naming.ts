import type { RegistryPlace } from '../core/naming/target.js';

/** How one kind of registry names images. Pure, and without the service's schema: the cdk8s constructs contain it. */
export interface RegistryNaming<Settings> {
  /** The keys of the kind's own mapping that determine host and path. */
  readonly keys: { readonly host: string; readonly path: string };
  /** A target's keys that {@link place} reads, with their valid values. */
  readonly reads: { readonly [Key in keyof Settings & string]?: PlaceValue };
  place(settings: Settings): RegistryPlace;
}

/** `text`: required. `host`: required, `host[:port]`. `path`: default ''. `choice`: optional. */
export type PlaceValue = 'text' | 'host' | 'path' | 'choice';

/** Maximum characters of a repository that distribution's registries accept. */
export const OCI_REPOSITORY_LIMIT = 255;
