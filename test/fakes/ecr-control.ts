import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { AwsError, accessDenied } from './aws-error.js';
import { AwsIdentities, type AwsKeys, type Caller, type FakeRole } from './aws-identities.js';
import { ECR_ACTIONS, nameOf } from './ecr-actions.js';
import { ECR_IMAGE_ACTIONS } from './ecr-image-actions.js';
import { EcrImages, type EcrRegistrySettings } from './ecr-images.js';
import { readCall, type ControlService, type SentCall } from './ecr-calls.js';
import { ControlFaults, type ControlFaultRule } from './ecr-faults.js';
import { EcrRepositories, ecrHost, repositoryArn } from './ecr-repositories.js';
import type { Parameters } from './ecr-rules.js';
import { RegistryTokens } from './ecr-tokens.js';
import { STS_ACTIONS, stsError, stsResponse, stsResult } from './sts-actions.js';
import { TokenBucket } from './token-bucket.js';

export interface EcrControlOptions {
  /** @default 123456789012 */
  readonly account?: string;
  /** Regions that have an API. The first one is the default region. @default eu-central-1 and us-east-1 */
  readonly regions?: readonly string[];
  /** Users in addition to the one of `userEnv`. */
  readonly users?: readonly AwsKeys[];
  readonly roles?: readonly FakeRole[];
  /** ARN of the role for which the Pod Identity agent issues credentials. */
  readonly podIdentityRole?: string;
  /** Calls per second by action, with a burst of the same size. Calls above the limit get a ThrottlingException. */
  readonly rates?: Readonly<Record<string, number>>;
}

/** One call, in the order of arrival. */
export interface ControlCall extends SentCall {
  readonly time: number;
  /** The region in the signature; undefined when the call has no signature. */
  readonly region: string | undefined;
  readonly accessKey: string | undefined;
  readonly arn: string | undefined;
  /** `ok`, an error's code, or the fault; undefined until the call has ended. */
  readonly outcome: string | undefined;
}

type OpenCall = { -readonly [K in keyof ControlCall]: ControlCall[K] };

const POD_IDENTITY_TOKEN = 'token-of-the-pod';

/**
 * The control planes of ECR, ECR Public and STS and the Pod Identity agent, on one loopback port. They cover what moto
 * cannot simulate: faults, expiry, quotas. Requests are validated as AWS does, including the signature.
 *
 * ```ts const control = await EcrControl.start(); control.fault({ action: 'PutLifecyclePolicy', times: 2, fault: {
 * type: 'error', code: 'ThrottlingException' } }); const service = await RunningService.start({ config, env: {
 * ...control.env, ...control.userEnv } }); expect(control.calls('CreateRepository')).toMatchObject([{ parameters: {
 * repositoryName: 'app' } }]); ```
 */
export class EcrControl {
  readonly log: ControlCall[] = [];
  readonly repositories = new EcrRepositories();
  readonly images = new EcrImages();
  readonly tokens = new RegistryTokens();
  readonly identities: AwsIdentities;
  /** Account settings by name. All accounts have the same ones. */
  readonly settings = new Map([
    ['BLOB_MOUNTING', 'DISABLED'],
    ['BASIC_SCAN_TYPE_VERSION', 'AWS_NATIVE'],
    ['REGISTRY_POLICY_SCOPE', 'V2'],
  ]);
  readonly registry: EcrRegistrySettings = { pullTimeExclusions: [], creationTemplates: [] };
  readonly account: string;
  readonly regions: readonly string[];
  readonly #user: AwsKeys;
  readonly #faults = new ControlFaults();
  readonly #buckets: ReadonlyMap<string, TokenBucket>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'image-swapper-ecr-'));

  private constructor(
    private readonly server: Server,
    readonly origin: string,
    private readonly options: EcrControlOptions,
  ) {
    this.account = options.account ?? '123456789012';
    this.regions = options.regions ?? ['eu-central-1', 'us-east-1'];
    this.#user = {
      accessKeyId: 'AKIATESTUSER00000001',
      secretAccessKey: 'secret+of/the-user',
      arn: `arn:aws:iam::${this.account}:user/mirror`,
    };
    this.identities = new AwsIdentities([this.#user, ...(options.users ?? [])], options.roles ?? [], this.regions);
    this.#buckets = new Map(Object.entries(options.rates ?? {}).map(([name, rate]) => [name, new TokenBucket(rate)]));
  }

  static async start(options: EcrControlOptions = {}): Promise<EcrControl> {
    const server = createServer({ requestTimeout: 0 });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const control = new EcrControl(server, origin, options);
    server.on('request', (request, response) => {
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      control.#serve(request, response).catch(() => response.destroy());
    });
    return control;
  }

  /** Variables that make an AWS SDK use only this fake, without an identity. */
  get env(): Readonly<Record<string, string>> {
    return {
      AWS_ENDPOINT_URL_ECR: this.origin,
      AWS_ENDPOINT_URL_ECR_PUBLIC: this.origin,
      AWS_ENDPOINT_URL_STS: this.origin,
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** Static keys of the user `mirror`. */
  get userEnv(): Readonly<Record<string, string>> {
    return { AWS_ACCESS_KEY_ID: this.#user.accessKeyId, AWS_SECRET_ACCESS_KEY: this.#user.secretAccessKey };
  }

  /** EKS Pod Identity, which needs `podIdentityRole`. */
  get podIdentityEnv(): Readonly<Record<string, string>> {
    return {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${this.origin}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: this.#file('pod-identity-token', POD_IDENTITY_TOKEN),
    };
  }

  /** IRSA with the first web identity token of a role. */
  webIdentityEnv(roleArn: string): Readonly<Record<string, string>> {
    const [token = ''] = this.identities.role(roleArn)?.webIdentityTokens ?? [];
    return { AWS_ROLE_ARN: roleArn, AWS_WEB_IDENTITY_TOKEN_FILE: this.#file('web-identity-token', token) };
  }

  /** A shared profile with the user's keys. */
  profileEnv(name = 'mirror'): Readonly<Record<string, string>> {
    const { accessKeyId, secretAccessKey } = this.#user;
    const keys = `aws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}`;
    const file = this.#file('credentials', `[${name}]\n${keys}\n`);
    return { AWS_PROFILE: name, AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: this.#file('config', '') };
  }

  fault(rule: ControlFaultRule): void {
    this.#faults.add(rule);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** Returns the calls of one action, or all calls. */
  calls(action?: string): ControlCall[] {
    return this.log.filter((call) => action === undefined || call.action === action);
  }

  /** Cuts open connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #file(name: string, content: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, content);
    return path;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const sent = readCall(request, body);
    if (sent === undefined) {
      response.writeHead(404).end('neither ECR nor STS');
      return;
    }
    const entry: OpenCall = {
      ...sent,
      time: Date.now(),
      region: undefined,
      accessKey: undefined,
      arn: undefined,
      outcome: undefined,
    };
    this.log.push(entry);
    const answer = (status: number, type: string, content: string): void => {
      response.writeHead(status, { 'content-type': type, 'x-amzn-requestid': 'test' }).end(content);
    };
    const json = sent.service === 'pod-identity' ? 'application/json' : 'application/x-amz-json-1.1';
    try {
      const caller = this.#caller(request, body, sent);
      entry.region = caller?.region;
      entry.accessKey = caller?.keys.accessKeyId;
      entry.arn = caller?.keys.arn;
      const fault = this.#fate(sent, caller);
      if (fault === 'hang') {
        entry.outcome = fault;
        return;
      }
      const result = fault === 'reset' ? '' : this.#perform(sent, caller, request);
      entry.outcome = fault ?? 'ok';
      if (fault !== undefined) response.destroy();
      else answer(200, sent.service === 'sts' ? 'text/xml' : json, result);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      entry.outcome = error.code;
      if (sent.service === 'sts') answer(error.status, 'text/xml', stsError(error));
      else answer(error.status, json, JSON.stringify({ __type: error.code, message: error.message }));
    }
  }

  /** Returns undefined for a request without a signature. */
  #caller(request: IncomingMessage, body: string, { service, action }: SentCall): Caller | undefined {
    if (service === 'pod-identity' || action === 'AssumeRoleWithWebIdentity') return undefined;
    const { method = '', url: target = '/', headers } = request;
    return this.identities.check({ method, target, headers, body }, service);
  }

  /** Throws the fault if it is an error. */
  #fate({ service, action, parameters }: SentCall, caller: Caller | undefined): 'hang' | 'reset' | 'lost' | undefined {
    const repository = nameOf(parameters);
    const arn = caller?.keys.arn;
    const fault = this.#faults.take({ action, repository, arn });
    if (this.#buckets.get(action)?.take() === false) throw new AwsError('ThrottlingException', 'Rate exceeded');
    switch (fault?.type) {
      case undefined:
        return undefined;
      case 'error':
        throw new AwsError(fault.code, fault.message ?? defaultMessage(fault.code), fault.status);
      case 'denied':
        throw accessDenied(
          service === 'sts' ? 'AccessDenied' : 'AccessDeniedException',
          arn ?? 'anonymous',
          `${service}:${action}`,
          service === 'sts' ? String(parameters['RoleArn']) : this.#resource(repository, parameters, caller),
        );
      default:
        return fault?.type;
    }
  }

  #resource(repository: string | undefined, parameters: Parameters, caller: Caller | undefined): string {
    if (repository === undefined || caller === undefined) return '*';
    return repositoryArn(registryOf(parameters, caller), caller.region, repository);
  }

  #perform(sent: SentCall, caller: Caller | undefined, request: IncomingMessage): string {
    const { action, parameters } = sent;
    const service: ControlService = sent.service;
    if (service === 'pod-identity') return this.#podIdentity(request);
    if (service === 'sts') {
      const known = STS_ACTIONS.find((name) => name === action);
      if (known === undefined) throw new AwsError('InvalidAction', `Could not find operation ${action}`);
      return stsResponse(
        known,
        stsResult(known, parameters as Readonly<Record<string, string>>, this.identities, caller),
      );
    }
    if (caller === undefined) throw new AwsError('MissingAuthenticationTokenException', 'Missing Authentication Token');
    if (action === 'GetAuthorizationToken') return JSON.stringify(this.#authorization(service, caller));
    const perform = service === 'ecr' ? (ECR_ACTIONS[action] ?? ECR_IMAGE_ACTIONS[action]) : undefined;
    if (perform === undefined) throw new AwsError('UnknownOperationException', `no ${service}:${action} here`);
    const account = registryOf(parameters, caller);
    const { repositories, settings, images, registry } = this;
    const { region } = caller;
    return JSON.stringify(perform({ account, region, parameters, repositories, settings, images, registry }));
  }

  #authorization(service: 'ecr' | 'ecr-public', { keys, region, account }: Caller): object {
    if (service === 'ecr-public') return { authorizationData: this.tokens.issue(keys.arn, 'public') };
    const proxyEndpoint = `https://${ecrHost(account, region)}`;
    return { authorizationData: [{ ...this.tokens.issue(keys.arn, region), proxyEndpoint }] };
  }

  #podIdentity({ headers }: IncomingMessage): string {
    const role = this.options.podIdentityRole;
    if (role === undefined || headers.authorization !== POD_IDENTITY_TOKEN) {
      throw new AwsError('AccessDeniedException', 'the agent does not know this Pod', 401);
    }
    const { accessKeyId, secretAccessKey, sessionToken, expires } = this.identities.session(role, 'eks-pod', 6 * 3600);
    return JSON.stringify({
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      Token: sessionToken,
      AccountId: role.split(':')[4],
      Expiration: new Date(expires).toISOString(),
    });
  }
}

function registryOf({ registryId }: Parameters, { account }: Caller): string {
  return typeof registryId === 'string' ? registryId : account;
}

function defaultMessage(code: string): string {
  return /Throttl|TooManyRequests/.test(code) ? 'Rate exceeded' : `the fake was set to respond ${code}`;
}
