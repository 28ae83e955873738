import { expectOk } from '../cluster/kube-api.js';
import type { KubeApi } from '../cluster/kube-api.js';

interface Listed {
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** Objects that Kubernetes itself creates in every namespace, and history objects. */
const FOREIGN_OBJECTS = [/^Namespace /, /^Event /, /^ConfigMap kube-root-ca\.crt$/, /^ServiceAccount default$/];

/** Returns every object of any kind that is in the namespace of the release or has its name, as `KIND NAME`. */
export async function leftovers(api: KubeApi, release: string, namespace: string): Promise<string[]> {
  const found: string[] = [];
  for (const root of await roots(api)) {
    const { body } = expectOk(await api.send('GET', root), root);
    const { resources } = body as {
      readonly resources: readonly {
        readonly name: string;
        readonly kind: string;
        readonly verbs: readonly string[];
      }[];
    };
    for (const { name, kind, verbs } of resources) {
      if (!verbs.includes('list') || name.includes('/')) continue;
      const reply = await api.send('GET', `${root}/${name}`);
      const { items } = reply.body as { readonly items?: readonly Listed[] | null };
      for (const { metadata } of items ?? []) {
        if (metadata.namespace === namespace || metadata.name.includes(release)) found.push(`${kind} ${metadata.name}`);
      }
    }
  }
  return [...new Set(found)].filter((one) => !FOREIGN_OBJECTS.some((pattern) => pattern.test(one))).sort();
}

async function roots(api: KubeApi): Promise<string[]> {
  const { body } = expectOk(await api.send('GET', '/apis'), '/apis');
  const { groups } = body as {
    readonly groups: readonly { readonly versions: readonly { readonly groupVersion: string }[] }[];
  };
  return ['/api/v1', ...groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => `/apis/${groupVersion}`))];
}
