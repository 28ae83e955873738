import type { RegistryError } from '../../registry/errors.js';

/** Advice for a deletion that a registry rejected; continues its message. */
export function deletionAdvice({ kind, status }: RegistryError): string {
  if (kind === 'forbidden' || kind === 'unauthorized') return '; allow the account to delete there';
  return status === 405 || kind === 'unsupported' ? '; the registry does not allow deletion, or it is turned off' : '';
}
