/**
 * Clients of clusters and clouds: CommonJS programs, packed (unpack.ts) and compiled on first use, since most processes
 * and threads need none or one of them. build.mjs inserts them for the main thread; the background worker gets those
 * that its configuration may need. Empty without a build: then the modules are imported.
 */
export interface Programs {
  kubernetes?: string;
  /** Creates certificates. */
  x509?: string;
  /** Verifies signatures. */
  sigstore?: string;
  /** BullMQ with the clients of queue servers. */
  bullmq?: string;
  /** The client for each kind of registry, by its type. */
  [kind: string]: string;
}

export const PROGRAMS: Programs = {};
