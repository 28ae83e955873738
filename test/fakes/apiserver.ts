import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { makeCertificates } from './certificates.js';
import { kubeconfigFor } from './kubeconfig.js';

/** A few reads of the Kubernetes API on loopback: Secrets and ServiceAccounts, by a bearer token, with a request log. */
export class FakeApiServer {
  readonly requests: { readonly method: string; readonly path: string }[] = [];
  private readonly objects = new Map<string, unknown>();
  private readonly statuses = new Map<string, number>();

  private constructor(
    private readonly server: Server,
    readonly origin: string,
    readonly token: string,
    readonly ca: string,
  ) {}

  static async start(token = 'fake-token'): Promise<FakeApiServer> {
    const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const server = createServer({ cert, key });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fake = new FakeApiServer(server, `https://127.0.0.1:${(server.address() as AddressInfo).port}`, token, ca);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => fake.answer(request, response));
    return fake;
  }

  /** A Secret of type kubernetes.io/dockerconfigjson. */
  putPullSecret(
    namespace: string,
    name: string,
    auths: Readonly<Record<string, { username: string; password: string }>>,
  ): void {
    const entries = Object.entries(auths).map(([host, { username, password }]) => [
      host,
      { username, password, auth: Buffer.from(`${username}:${password}`).toString('base64') },
    ]);
    const document = JSON.stringify({ auths: Object.fromEntries(entries) as unknown });
    this.putSecret(namespace, name, { '.dockerconfigjson': document });
  }

  putSecret(namespace: string, name: string, data: Readonly<Record<string, string>>): void {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
    this.objects.set(`/api/v1/namespaces/${namespace}/secrets/${name}`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace },
      data: Object.fromEntries(encoded) as unknown,
    });
  }

  putServiceAccount(namespace: string, name: string, pullSecrets: readonly string[]): void {
    this.objects.set(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace },
      imagePullSecrets: pullSecrets.map((secret) => ({ name: secret })),
    });
  }

  /** Answers a path with an error status from now on. */
  refuse(path: string, status: number): void {
    this.statuses.set(path, status);
  }

  kubeconfig(namespace: string): string {
    return kubeconfigFor(this, namespace);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = new URL(request.url ?? '/', this.origin).pathname;
    this.requests.push({ method: request.method ?? '', path });
    const object = this.objects.get(path);
    const authorized = request.headers.authorization === `Bearer ${this.token}`;
    const status = authorized ? (this.statuses.get(path) ?? (object === undefined ? 404 : 200)) : 401;
    const body =
      status === 200
        ? object
        : { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, message: 'refused' };
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  }
}
