import { quoteInput } from '../../core/image/quote.js';
import { readJson } from '../../util/json-text.js';

/** Keys that the libraries require in each type of Google's credentials files. */
const types: Readonly<Record<string, readonly string[]>> = {
  service_account: ['client_email', 'private_key'],
  authorized_user: ['client_id', 'client_secret', 'refresh_token'],
  external_account: ['audience', 'subject_token_type', 'credential_source'],
  external_account_authorized_user: ['client_id', 'client_secret', 'refresh_token'],
  impersonated_service_account: ['service_account_impersonation_url', 'source_credentials'],
};

/**
 * Checks a file with Google credentials: a service account key, a federation (external account), a user, or an
 * impersonation. The result continues the file's name, `is not JSON (line 3, column 5): …`, and never quotes more of
 * the content than the type.
 */
export function credentialsFileFault(text: string): { readonly json: object } | { readonly fault: string } {
  const result = readJson(text.replace(/^\uFEFF/, ''));
  if ('problem' in result) {
    const { offset, message } = result.problem;
    const lines = text.slice(0, offset).split('\n');
    const column = (lines.at(-1) ?? '').length + 1;
    return { fault: `is not JSON (line ${lines.length}, column ${column}): ${message}` };
  }
  const json = result.value;
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return { fault: 'is not a JSON object' };
  const type: unknown = 'type' in json ? json.type : undefined;
  if (typeof type !== 'string') {
    const hint = 'installed' in json || 'web' in json ? ': this is an OAuth client; a service account is required' : '';
    return { fault: `has no "type", so it is not a Google credentials file${hint}` };
  }
  const keys = Object.hasOwn(types, type) ? types[type] : undefined;
  if (keys === undefined) {
    return { fault: `has the type ${quoteInput(type)}; expected one of ${Object.keys(types).join(', ')}` };
  }
  const missing = keys.filter((key) => !(key in json));
  return missing.length === 0 ? { json } : { fault: `is of type ${type} and has no ${missing.join(', ')}` };
}
