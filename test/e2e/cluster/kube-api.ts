import { Agent, request } from 'node:https';
import { kubeconfigOf } from './service-account.js';

export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

export interface ApiReply {
  readonly status: number;
  /** The object, or the Status with the reason of the failure. */
  readonly body: unknown;
}

/** The last part of the path of each kind that these tests write. */
const PLURALS: Readonly<Record<string, string>> = {
  PolicyException: 'policyexceptions',
  Namespace: 'namespaces',
  ConfigMap: 'configmaps',
  Secret: 'secrets',
  Pod: 'pods',
  ServiceAccount: 'serviceaccounts',
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  DaemonSet: 'daemonsets',
  ReplicaSet: 'replicasets',
  Job: 'jobs',
  CronJob: 'cronjobs',
  Lease: 'leases',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  CustomResourceDefinition: 'customresourcedefinitions',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
  MutatingAdmissionPolicy: 'mutatingadmissionpolicies',
  MutatingAdmissionPolicyBinding: 'mutatingadmissionpolicybindings',
  MutatingPolicy: 'mutatingpolicies',
  ClusterPolicy: 'clusterpolicies',
  ImageValidatingPolicy: 'imagevalidatingpolicies',
  ImageTable: 'imagetables',
  GlobalContextEntry: 'globalcontextentries',
  Provider: 'providers',
  Assign: 'assign',
};

/** A client of a kube-apiserver over HTTP with a bearer token. */
export class KubeApi {
  private readonly agent: Agent;

  constructor(
    private readonly port: number,
    private readonly token: string,
    private readonly ca: string,
  ) {
    this.agent = new Agent({ ca, keepAlive: true, maxSockets: 64 });
  }

  /** @throws Error when there is no response. A response may have any status. */
  async send(method: string, path: string, body?: unknown, type = 'application/json'): Promise<ApiReply> {
    const text = body === undefined ? '' : JSON.stringify(body);
    return new Promise<ApiReply>((resolve, reject) => {
      const headers = { authorization: `Bearer ${this.token}`, accept: 'application/json', 'content-type': type };
      const sent = request(
        { host: '127.0.0.1', port: this.port, method, path, agent: this.agent, headers },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks)) }));
        },
      );
      sent.on('error', reject);
      sent.end(text);
    });
  }

  async create(object: ApiObject, query = ''): Promise<ApiReply> {
    return this.send('POST', `${collection(object)}${query}`, object);
  }

  /** Creates or changes the object by server-side apply. @throws Error when the API server refuses it */
  async apply(object: ApiObject): Promise<ApiReply> {
    const path = `${pathOf(object)}?fieldManager=e2e&force=true`;
    return expectOk(await this.send('PATCH', path, object, 'application/apply-patch+yaml'), `apply ${object.kind}`);
  }

  async get(object: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>): Promise<ApiReply> {
    return this.send('GET', pathOf(object));
  }

  /** Deletes the object at once. A missing object is not an error. */
  async remove(object: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>): Promise<void> {
    const reply = await this.send('DELETE', `${pathOf(object)}?gracePeriodSeconds=0`);
    if (reply.status !== 404) expectOk(reply, `delete ${object.kind}`);
  }

  get address(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** Returns another client of the same API server. */
  kubeconfig(token: string, namespace: string): string {
    return kubeconfigOf(this.address, this.ca, token, namespace);
  }

  close(): void {
    this.agent.destroy();
  }
}

/** @throws Error with the API server's message if the request failed */
export function expectOk(reply: ApiReply, what: string): ApiReply {
  if (reply.status >= 300) throw new Error(`${what}: HTTP ${reply.status} ${messageOf(reply)}`);
  return reply;
}

/** Returns the reason why the API server refused the request. */
export function messageOf({ body }: ApiReply): string {
  const { message } = body as { readonly message?: string };
  return message ?? JSON.stringify(body);
}

function collection({ apiVersion, kind, metadata }: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>): string {
  const plural = PLURALS[kind];
  if (plural === undefined) throw new Error(`no path for the kind ${kind}`);
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return metadata.namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${metadata.namespace}/${plural}`;
}

export function pathOf(object: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>): string {
  return `${collection(object)}/${object.metadata.name}`;
}

function parse(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Some routes, such as /readyz, answer in plain text.
    return { message: text };
  }
}
