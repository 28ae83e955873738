import type { CredentialsConfig } from '../../credentials/config-credentials.js';
import type { Parsed } from '../../schema/parsed.js';
import type { RuleScope } from '../../schema/rule-scope.js';
import type { OciConfig } from './config.js';

/** Checks combinations of keys of one `oci` mapping. */
export function ociRules(scope: RuleScope, oci: Parsed<OciConfig>): void {
  if (oci.credentials !== undefined) checkCredentials(scope);
  if (oci.insecure === true && scope.isWritten(['caFile'])) {
    scope.warn(['caFile'], 'has no effect with insecure: true');
  }
}

const LOGINS = [
  'secretName',
  'password',
  'passwordFile',
  'dockerConfigFile',
] as const satisfies (keyof CredentialsConfig)[];

function checkCredentials(scope: RuleScope): void {
  const path = ['credentials'];
  const has = (key: keyof CredentialsConfig) => scope.isWritten([...path, key]);
  const given = LOGINS.filter(has);
  const report = (key: string, message: string, allowed?: string) => {
    scope.error(key === '' ? path : [...path, key], message, allowed);
  };
  if (given.length === 0) {
    report('', 'has no login method', `set one of ${LOGINS.join(', ')}`);
  } else if (given.length > 1) {
    report(given[1] ?? '', `cannot be combined with ${given[0] ?? ''}`, `set only one of ${LOGINS.join(', ')}`);
  }
  const withUser = has('password') || has('passwordFile');
  if (withUser && !has('username')) report('username', 'required with a password');
  if (has('username') && !withUser && given.length > 0) {
    report('username', `has no effect with ${given[0] ?? ''}`, 'it needs password or passwordFile');
  }
  if (has('namespace') && !has('secretName')) report('namespace', 'has no effect without secretName');
}
