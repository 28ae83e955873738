/** How the registries of one kind name images; the service's own description of it, without its types. */
export interface KindNaming {
  readonly keys: { readonly host: string; readonly path: string };
  readonly reads: Readonly<Record<string, PlaceValue | undefined>>;
  place(settings: never): RegistryPlace;
}

export type PlaceValue = 'text' | 'host' | 'path' | 'choice';

export interface RegistryPlace {
  readonly host: string;
  readonly path: string;
  readonly aliases: readonly string[];
  readonly repositoryLimit: number;
  readonly separators: 'single' | 'any';
  readonly wholeRegistry: boolean;
}
