import { expectOk } from './kube-api.js';
import type { ApiObject, ApiReply, KubeApi } from './kube-api.js';

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** The paths of objects of any kind, from the API server's discovery. */
export class Discovery {
  readonly #resources = new Map<string, Promise<readonly Resource[]>>();

  constructor(private readonly api: KubeApi) {}

  /** Returns the path of the object or of its collection. @throws Error for a kind that the cluster does not have */
  async path(object: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>, part: 'object' | 'collection' = 'object') {
    const { apiVersion, kind, metadata } = object;
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const found = (await this.resources(root)).find((resource) => resource.kind === kind);
    if (found === undefined) throw new Error(`the cluster has no ${kind} of ${apiVersion}`);
    const namespace = found.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : '';
    const collection = `${root}${namespace}/${found.name}`;
    return part === 'object' ? `${collection}/${metadata.name}` : collection;
  }

  async get(object: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>): Promise<ApiReply> {
    return this.api.send('GET', await this.path(object));
  }

  /** Returns the API server's response to a dry run of the object. Unknown fields are errors. */
  async dryRun(object: ApiObject): Promise<ApiReply> {
    const path = await this.path(object, 'collection');
    return this.api.send('POST', `${path}?dryRun=All&fieldValidation=Strict`, object);
  }

  private resources(root: string): Promise<readonly Resource[]> {
    const known = this.#resources.get(root);
    if (known !== undefined) return known;
    const asked = this.api.send('GET', root).then((reply) => {
      const { resources } = expectOk(reply, root).body as { readonly resources: readonly Resource[] };
      return resources.filter(({ name }) => !name.includes('/'));
    });
    this.#resources.set(root, asked);
    return asked;
  }
}
