import type { RegistryError } from '../../registry/errors.js';

/** Advice about a deletion that a registry refused; continues its message. */
export function deletionAdvice({ kind, status }: RegistryError): string {
  if (kind === 'forbidden' || kind === 'unauthorized') return '; allow the account to delete there';
  return status === 405 || kind === 'unsupported' ? '; the registry does not allow deletion, or it is turned off' : '';
}
