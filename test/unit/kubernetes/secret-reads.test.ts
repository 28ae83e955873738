import { describe, expect, it } from 'vitest';
import type { ClusterAccess } from '../../../extension-service/src/kubernetes/api.js';
import { SecretReads } from '../../../extension-service/src/kubernetes/secret-reads.js';

/** A client that records requests. Requests with the invalid names below must not reach it. */
function reads(): { readonly reads: SecretReads; readonly asked: string[] } {
  const asked: string[] = [];
  const record = async ({ namespace, name }: { namespace: string; name: string }): Promise<never> => {
    asked.push(`${namespace}/${name}`);
    throw Object.assign(new Error('not there'), { code: 404 });
  };
  const core = { readNamespacedSecret: record, readNamespacedServiceAccount: record };
  const cluster = { core, namespace: 'own' } as unknown as ClusterAccess;
  return { reads: new SecretReads(cluster, { onProblem: () => undefined }), asked };
}

describe('SecretReads', () => {
  it.each([
    ['..', 'y'],
    ['.', 'y'],
    ['', 'y'],
    ['team-a', '..'],
    ['team-a', '.'],
    ['team-a', ''],
    ['team-a', 'a/b'],
    ['team-a', '../../x'],
    ['team-a/secrets', 'x'],
    ['team-a', 'x?watch=true'],
    ['team-a', '%2e%2e'],
    ['team-a', 'Secret'],
    ['team-a', 'a\n'],
    ['team.a', 'x'],
    ['team-a', 'a..b'],
    ['team-a', `${'a'.repeat(254)}`],
    ['a'.repeat(64), 'x'],
  ])('makes no request to the API server when the names are %j and %j', async (namespace, name) => {
    const { reads: secrets, asked } = reads();
    const message = /not valid names of Kubernetes objects/;
    await expect(secrets.pullSecret(namespace, name)).rejects.toThrow(message);
    await expect(secrets.accountSecretNames(namespace, name)).rejects.toThrow(message);
    await expect(secrets.dockerConfig(namespace, name)).rejects.toThrow(message);
    expect(asked).toEqual([]);
  });

  it.each([
    ['team-a', 'regcred'],
    ['0', 'a.b-c.d'],
    ['a'.repeat(63), 'a'.repeat(253)],
  ])('requests the Secret %j/%j', async (namespace, name) => {
    const { reads: secrets, asked } = reads();
    await expect(secrets.pullSecret(namespace, name)).rejects.toThrow('does not exist');
    expect(asked).toEqual([`${namespace}/${name}`]);
  });
});
