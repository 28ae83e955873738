/**
 * Clients of clusters and clouds: CommonJS programs, packed (unpack.ts) and compiled when they are first needed, since most
 * processes and threads need none or one of them. build.mjs puts them here for the main thread; the background worker gets
 * those that its configuration may need. Empty where nothing was built: modules are imported then.
 */
export interface Programs {
  kubernetes?: string;
  /** Makes certificates. */
  x509?: string;
  /** Verifies signatures. */
  sigstore?: string;
  /** The client of a kind of registry, by its type. */
  [kind: string]: string;
}

export const PROGRAMS: Programs = {};
