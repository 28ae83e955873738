import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { PackageDefinition } from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import type { INamespace } from 'protobufjs';
import * as proto3 from 'proto3-json-serializer';
import { RepositoryState, RpcError } from './repository-state.js';
import type { ApiRequest } from './repository-state.js';
import type { GoogleTokens } from './tokens.js';

const SERVICE = 'google.devtools.artifactregistry.v1.ArtifactRegistry';
const REPOSITORY = 'google.devtools.artifactregistry.v1.Repository';
const METHODS = [
  'GetRepository',
  'CreateRepository',
  'UpdateRepository',
  'GetIamPolicy',
  'SetIamPolicy',
  'TestIamPermissions',
];
/** HTTP statuses of the gRPC codes, as Google's gateway maps them. */
const STATUS: Readonly<Record<number, number>> = { 3: 400, 5: 404, 6: 409, 7: 403, 10: 409, 12: 501, 14: 503, 16: 401 };
const PLAIN = { longs: String, enums: String, defaults: true, oneofs: true } as const;

/** How the API fails instead of answering; `hang` never answers. */
export type ApiFault = { readonly code: number; readonly message: string } | 'hang';

interface Description {
  readonly root: protobuf.Root;
  readonly definitions: PackageDefinition;
}

let described: Description | undefined;

/** The protos of Google's client package, parsed once per process. */
function description(): Description {
  if (described !== undefined) return described;
  const file = createRequire(import.meta.url).resolve('@google-cloud/artifact-registry/build/protos/protos.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as INamespace;
  const root = protobuf.Root.fromJSON(json);
  root.resolveAll();
  return (described = { root, definitions: fromJSON(json, { ...PLAIN, keepCase: false }) });
}

/**
 * Artifact Registry's API, from the protos of Google's own client package: gRPC over TLS, and REST over plain HTTP for
 * a proxy that terminates TLS. The API checks tokens and records requests.
 */
export class ArtifactRegistryApi {
  readonly state = new RepositoryState();
  readonly requests: ApiRequest[] = [];
  fault: ApiFault | undefined;
  /** Number of gRPC connections so far. */
  grpcCalls = 0;

  private constructor(
    private readonly tokens: GoogleTokens,
    private readonly root: protobuf.Root,
    private readonly rpc: grpc.Server,
    private readonly http: Server,
    private readonly rpcPort: number,
  ) {}

  static async start(
    tokens: GoogleTokens,
    tls: { readonly cert: string; readonly key: string; readonly ca: string },
  ): Promise<ArtifactRegistryApi> {
    const { root, definitions } = description();
    const rpc = new grpc.Server();
    const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
    const port = await new Promise<number>((resolve, reject) => {
      // Without a CA certificate, the server parses all those that Node knows.
      const credentials = grpc.ServerCredentials.createSsl(Buffer.from(tls.ca), [pair]);
      rpc.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const api = new ArtifactRegistryApi(tokens, root, rpc, http, port);
    api.#serveGrpc(definitions);
    http.on('request', (request, response) => void api.#serveRest(request, response));
    return api;
  }

  /** Value for `gcp.endpoint`. The certificate must be valid for localhost. */
  get grpcEndpoint(): string {
    return `localhost:${this.rpcPort}`;
  }

  /** Backend of a proxy that plays artifactregistry.googleapis.com. */
  get restOrigin(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  methods(): readonly string[] {
    return this.requests.map(({ method }) => method);
  }

  async close(): Promise<void> {
    this.rpc.forceShutdown();
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()));
    this.http.closeAllConnections();
    await closed;
  }

  /** @throws RpcError */
  #handle(
    transport: ApiRequest['transport'],
    method: string,
    request: Readonly<Record<string, unknown>>,
    headers: Readonly<Record<string, string>>,
  ): object {
    const identity = this.tokens.bearerOf(headers['authorization']);
    if (identity === undefined) throw new RpcError(16, 'Request had invalid authentication credentials.');
    this.requests.push({ transport, method, identity, request, headers });
    if (typeof this.fault === 'object') throw new RpcError(this.fault.code, this.fault.message);
    return this.state.handle(method, request, identity);
  }

  #serveGrpc(definitions: PackageDefinition): void {
    const serve = (service: string, names: readonly string[]): void => {
      const definition = definitions[service] as grpc.ServiceDefinition;
      const handlers = names.map((method): [string, grpc.handleUnaryCall<object, object>] => [
        method.charAt(0).toLowerCase() + method.slice(1),
        (call, callback) => {
          this.grpcCalls++;
          if (this.fault === 'hang') return;
          const headers = Object.fromEntries(
            Object.entries(call.metadata.getMap()).map(([key, value]) => [key, value.toString()]),
          );
          try {
            callback(null, this.#packed(this.#handle('grpc', method, { ...call.request }, headers)));
          } catch (error) {
            if (!(error instanceof RpcError)) throw error;
            callback({ code: error.code, details: error.message });
          }
        },
      ]);
      this.rpc.addService(definition, Object.fromEntries(handlers));
    };
    serve(SERVICE, METHODS);
    serve('google.longrunning.Operations', ['GetOperation']);
  }

  /** Returns an operation's result as google.protobuf.Any. */
  #packed(answer: object): object {
    if (!('response' in answer)) return answer;
    const type = this.root.lookupType(REPOSITORY);
    const value = type.encode(type.fromObject(answer.response as object)).finish();
    return { ...answer, response: { type_url: `type.googleapis.com/${REPOSITORY}`, value: Buffer.from(value) } };
  }

  async #serveRest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.fault === 'hang') return;
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const url = new URL(request.url ?? '/', 'http://api');
    const body: unknown = JSON.parse(Buffer.concat(pieces).toString() || '{}');
    const send = (status: number, answer: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(answer));
    };
    try {
      const route = restRoute(request.method ?? '', url, body);
      const input = this.root.lookupType(route.requestType);
      const message = proto3.fromProto3JSON(input, route.json as Parameters<typeof proto3.fromProto3JSON>[1]);
      const plain = message === null ? {} : input.toObject(message, PLAIN);
      const headers = Object.fromEntries(Object.entries(request.headers).map(([key, value]) => [key, String(value)]));
      const answer = this.#packed(this.#handle('rest', route.method, plain, headers));
      const output = this.root.lookupType(route.responseType);
      send(200, proto3.toProto3JSON(output.fromObject(answer)));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const { code, message } = error;
      const status = STATUS[code] ?? 500;
      const name = grpc.status[code] ?? 'UNKNOWN';
      send(status, { error: { code: status, message, status: name } });
    }
  }
}

interface Route {
  readonly method: string;
  readonly requestType: string;
  readonly responseType: string;
  /** The request message as proto3 JSON. */
  readonly json: unknown;
}

/** Finds the method of an HTTP request by the `google.api.http` annotations of the service. @throws RpcError */
function restRoute(verb: string, url: URL, body: unknown): Route {
  const path = decodeURIComponent(url.pathname);
  const own = 'google.devtools.artifactregistry.v1';
  const match = /^\/v1\/(projects\/[^/]+\/locations\/[^/]+)\/(repositories|operations)(?:\/([^/:]+))?(?::(\w+))?$/.exec(
    path,
  );
  const [, parent = '', kind, id, action] = match ?? [];
  const name = `${parent}/${kind ?? ''}/${id ?? ''}`;
  if (kind === 'operations' && verb === 'GET') {
    const responseType = 'google.longrunning.Operation';
    return {
      method: 'GetOperation',
      requestType: 'google.longrunning.GetOperationRequest',
      responseType,
      json: { name },
    };
  }
  if (kind === 'repositories') {
    const update = { repository: { ...(body as object), name }, updateMask: url.searchParams.get('updateMask') ?? '' };
    const create = { parent, repositoryId: url.searchParams.get('repositoryId') ?? '', repository: body };
    const iam = { ...(body as object), resource: name };
    const version = url.searchParams.get('options.requestedPolicyVersion');
    const routes: Readonly<Record<string, Route>> = {
      'GET ': {
        method: 'GetRepository',
        requestType: `${own}.GetRepositoryRequest`,
        responseType: REPOSITORY,
        json: { name },
      },
      'PATCH ': {
        method: 'UpdateRepository',
        requestType: `${own}.UpdateRepositoryRequest`,
        responseType: REPOSITORY,
        json: update,
      },
      'POST ': {
        method: 'CreateRepository',
        requestType: `${own}.CreateRepositoryRequest`,
        responseType: 'google.longrunning.Operation',
        json: create,
      },
      'GET getIamPolicy': {
        method: 'GetIamPolicy',
        requestType: 'google.iam.v1.GetIamPolicyRequest',
        responseType: 'google.iam.v1.Policy',
        json: { resource: name, options: { requestedPolicyVersion: Number(version ?? 0) } },
      },
      'POST setIamPolicy': {
        method: 'SetIamPolicy',
        requestType: 'google.iam.v1.SetIamPolicyRequest',
        responseType: 'google.iam.v1.Policy',
        json: iam,
      },
      'POST testIamPermissions': {
        method: 'TestIamPermissions',
        requestType: 'google.iam.v1.TestIamPermissionsRequest',
        responseType: 'google.iam.v1.TestIamPermissionsResponse',
        json: iam,
      },
    };
    const route = routes[`${verb} ${action ?? ''}`];
    if (route !== undefined) return route;
  }
  throw new RpcError(12, `${verb} ${path} is not a method`);
}
