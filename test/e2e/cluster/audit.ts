import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ControlPlane, ControlPlaneOptions } from './control-plane.js';

const LOG = 'audit.log';

/** Makes the API server log requests for Secrets and ServiceAccounts, with their time. */
export const AUDIT: ControlPlaneOptions = {
  files: {
    'audit-policy.yaml': stringify({
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      omitStages: ['ResponseStarted', 'Panic'],
      rules: [
        { level: 'Metadata', resources: [{ group: '', resources: ['secrets', 'serviceaccounts'] }] },
        { level: 'None' },
      ],
    }),
  },
  flags: ['--audit-policy-file=audit-policy.yaml', `--audit-log-path=${LOG}`],
};

export interface AuditedRequest {
  readonly verb: string;
  /** The path and query. */
  readonly uri: string;
  /** `secrets/NAME`, or `secrets` for a list. */
  readonly object: string;
}

/** Returns the requests of an account, in the order of arrival. */
export async function requestsOf(plane: ControlPlane, namespace: string, account: string): Promise<AuditedRequest[]> {
  const lines = (await readFile(join(plane.folder, LOG), 'utf8')).split('\n').filter((line) => line !== '');
  const events = lines.map((line) => JSON.parse(line) as AuditEvent);
  const user = `system:serviceaccount:${namespace}:${account}`;
  return events
    .filter(({ stage, user: { username } }) => stage === 'RequestReceived' && username === user)
    .map(({ verb, requestURI, objectRef: { resource, name } }) => ({
      verb,
      uri: requestURI,
      object: name === undefined ? resource : `${resource}/${name}`,
    }));
}

interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly objectRef: { readonly resource: string; readonly name?: string };
}
