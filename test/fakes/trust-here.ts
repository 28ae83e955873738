import { syncBuiltinESMExports } from 'node:module';
import tls from 'node:tls';

/**
 * Has this process trust one more authority where a connection names none, as NODE_EXTRA_CA_CERTS does for a process that
 * starts. @returns what ends it
 */
export function trustHere(ca: string): () => void {
  const { createSecureContext } = tls;
  const replace = (next: typeof createSecureContext): void => {
    tls.createSecureContext = next;
    syncBuiltinESMExports();
  };
  replace((options = {}) => createSecureContext({ ...options, ca: options.ca ?? ca }));
  return () => replace(createSecureContext);
}
