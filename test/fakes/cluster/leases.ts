import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';

interface Lease {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
  readonly spec: { readonly holderIdentity?: string };
}

/** `coordination.k8s.io/v1` Leases: get, create and patch, with conflicts. */
export class FakeLeases {
  private readonly leases = new Map<string, Lease>();
  private version = 0;

  /** @param name `NAMESPACE/NAME` */
  holderOf(name: string): string | undefined {
    return this.leases.get(name)?.spec.holderIdentity;
  }

  answer(method: string, path: string, text: string, response: ServerResponse): void {
    const [, namespace = '', name = ''] = /namespaces\/([^/]+)\/leases(?:\/([^/]+))?$/.exec(path) ?? [];
    const sent = (text === '' ? {} : JSON.parse(text)) as Partial<Lease>;
    const full = `${namespace}/${name === '' ? sent.metadata?.name : name}`;
    const known = this.leases.get(full);
    const send = (code: number, body: object): void => {
      response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    const refuse = (code: number): void => send(code, { kind: 'Status', code, message: `lease ${code}` });
    if (method === 'POST') {
      if (known !== undefined) return refuse(409);
      return send(201, this.keep(full, sent.spec ?? {}));
    }
    if (known === undefined) return refuse(404);
    if (method === 'GET') return send(200, known);
    if (method !== 'PATCH') return refuse(405);
    const version = sent.metadata?.resourceVersion;
    if (version !== undefined && version !== known.metadata.resourceVersion) return refuse(409);
    send(200, this.keep(full, { ...known.spec, ...sent.spec }));
  }

  private keep(full: string, spec: Lease['spec']): object {
    const [namespace = '', name = ''] = full.split('/');
    this.version += 1;
    // Leases of different clusters differ in it.
    const uid = this.leases.get(full)?.metadata.uid ?? randomUUID();
    const lease = { metadata: { namespace, name, uid, resourceVersion: String(this.version) }, spec };
    this.leases.set(full, lease);
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', ...lease };
  }
}
