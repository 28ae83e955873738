import { syncBuiltinESMExports } from 'node:module';
import tls from 'node:tls';

/**
 * Makes this process trust one more CA for connections without their own list, as NODE_EXTRA_CA_CERTS does at startup.
 * @returns a function that ends it
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
