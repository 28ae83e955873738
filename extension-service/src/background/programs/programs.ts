/**
 * Clients of clusters and clouds as texts of CommonJS programs, compiled when they are first needed: most processes and
 * threads need none or one of them. build.mjs puts the texts here for the main thread; the background worker gets those that
 * its configuration may need. Empty where nothing was built: modules are imported then.
 */
export interface Programs {
  kubernetes?: string;
  /** Makes certificates. */
  x509?: string;
  /** The client of a kind of registry, by its type. */
  [kind: string]: string;
}

export const PROGRAMS: Programs = {};
