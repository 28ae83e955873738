import { syncBuiltinESMExports } from 'node:module';
import tls from 'node:tls';

/**
 * Makes this process trust one more CA certificate for connections without their own list, as NODE_EXTRA_CA_CERTS does
 * at startup.
 * @returns a function that removes the CA certificate again
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
