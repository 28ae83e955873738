import { createHash } from 'node:crypto';
import { accessDenied } from './aws-error.js';
import { readDataRequest, type DataRequest, type EcrDataAction } from './ecr-data-actions.js';
import type { ImageStatus } from './ecr-images.js';
import { repositoryArn, type EcrRepository } from './ecr-repositories.js';
import { repositoryNameIsLegal, tagIsImmutable } from './ecr-rules.js';
import type { TokenState } from './ecr-tokens.js';
import type { Hook, HookRequest, HookResult } from './tls-proxy.js';
import { TokenBucket } from './token-bucket.js';

type Awaitable<T> = T | Promise<T>;

/** The gate's view of the control plane. `controlView` in ecr-control-view.ts returns that of our fake. */
export interface ControlView {
  tokenState(password: string): Awaitable<TokenState>;
  /** Returns the ARN of the token's owner. */
  tokenArn(password: string): Awaitable<string | undefined>;
  repository(account: string, region: string, name: string): Awaitable<RepositoryView | undefined>;
  /** Creates the repository if it does not exist, for create-on-push. */
  create(account: string, region: string, name: string): Awaitable<void>;
  /** Records a push of an image, by digest or under a tag. */
  pushed(account: string, region: string, name: string, digest: string, tag: string | undefined): Awaitable<void>;
  /** Returns undefined for an image that was not pushed through the gate. */
  imageStatus(account: string, region: string, name: string, reference: string): Awaitable<ImageStatus | undefined>;
  blobMounting(): Awaitable<boolean>;
}

export type RepositoryView = Pick<
  EcrRepository,
  'imageTagMutability' | 'imageTagMutabilityExclusionFilters' | 'encryptionConfiguration'
>;

export interface EcrGateOptions {
  /** `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, or a similar name. */
  readonly host: string;
  readonly control: ControlView;
  /** Origin of the registry behind the gate, which the gate asks for its content. */
  readonly backend: string;
  /** Whether a repository creation template applies to every name. */
  readonly createOnPush?: boolean;
  /**
   * Requests per second by action, with a burst of the same size. Requests above the limit get a 429. `ECR_RATES` has
   * AWS's own rates.
   */
  readonly rates?: Readonly<Partial<Record<EcrDataAction, number>>>;
  /** IAM: returns whether an identity may do the action. @default everything */
  readonly allows?: (arn: string, action: EcrDataAction, repository: string) => boolean;
  /**
   * The gate redirects reads of blobs to this host, as ECR does to S3. The host needs the same backend, and
   * `refuseLogins` as its hook.
   */
  readonly blobHost?: string;
}

/** The quotas of a new account. */
export const ECR_RATES = { PutImage: 10, InitiateLayerUpload: 100, CompleteLayerUpload: 100 } as const;

export interface GateEntry {
  readonly time: number;
  readonly action: EcrDataAction;
  readonly repository: string;
  /** ARN of the token's owner. */
  readonly arn: string | undefined;
  /** Status of the response; 0 until the response. */
  readonly status: number;
}

type OpenEntry = { -readonly [K in keyof GateEntry]: GateEntry[K] };

/**
 * Makes a plain registry behind a `TlsProxy` behave like ECR's registry.
 *
 * ```ts
 * const proxy = await TlsProxy.start({ hosts: { [HOST]: registry.origin } });
 * const gate = new EcrGate({ host: HOST, control: controlView(control), backend: registry.origin, rates: ECR_RATES });
 * proxy.setHook(HOST, gate.hook);
 * expect(gate.count('PutImage')).toBe(3);
 * ```
 */
export class EcrGate {
  readonly log: GateEntry[] = [];
  /** Number of POSTs that requested a mount, and number of those that were passed to the registry. */
  readonly mounts = { asked: 0, granted: 0 };
  readonly #account: string;
  readonly #region: string;
  readonly #buckets: ReadonlyMap<string, TokenBucket>;
  /** Tags that exist or that a running push is about to create. */
  readonly #claimed = new Set<string>();
  /** The digests that each pushed image refers to, by `REPOSITORY@DIGEST`. */
  readonly #layers = new Map<string, readonly string[]>();
  /** Blobs that a manifest of the repository refers to. */
  readonly #referenced = new Map<string, Set<string>>();

  constructor(private readonly options: EcrGateOptions) {
    const match = /^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\./.exec(options.host);
    if (match === null) throw new Error(`${options.host} is not a host of ECR`);
    [, this.#account = '', this.#region = ''] = match;
    this.#buckets = new Map(Object.entries(options.rates ?? {}).map(([name, rate]) => [name, new TokenBucket(rate)]));
  }

  readonly hook: Hook = async (request) => {
    const asked = readDataRequest(request);
    const password = basicPassword(request);
    const state = password === undefined ? 'unknown' : await this.options.control.tokenState(password);
    const arn = password === undefined ? undefined : await this.options.control.tokenArn(password);
    const { repository } = asked;
    const entries = asked.actions.map((action): OpenEntry => ({
      time: Date.now(),
      action,
      repository,
      arn,
      status: 0,
    }));
    this.log.push(...entries);
    const answered = (status: number): void => entries.forEach((entry) => (entry.status = status));
    const result = (await this.#refusal(state, arn, asked)) ?? (await this.#special(request, asked));
    if (result !== undefined && 'status' in result) {
      answered(result.status);
      return result;
    }
    if (result !== undefined && 'fault' in result) return result;
    const forward = result?.forward;
    return {
      forward: {
        ...forward,
        answered: (status) => {
          answered(status);
          forward?.answered?.(status);
        },
      },
    };
  };

  /** Returns the number of requests for the action, including rejections. */
  count(action: EcrDataAction): number {
    return this.log.filter((entry) => entry.action === action).length;
  }

  /** Returns the number of these requests that got a 429. */
  throttled(action: EcrDataAction): number {
    return this.log.filter((entry) => entry.action === action && entry.status === 429).length;
  }

  /** Registers a manifest whose push the gate has not seen. */
  learn(repository: string, manifest: Buffer): void {
    const known = this.#referenced.get(repository) ?? new Set();
    for (const digest of digestsIn(manifest)) known.add(digest);
    this.#referenced.set(repository, known);
  }

  async #refusal(state: TokenState, arn: string | undefined, asked: DataRequest): Promise<HookResult> {
    const { repository, actions, writes } = asked;
    const { host, control, createOnPush, allows } = this.options;
    if (state === 'unknown') {
      const challenge = `Basic realm="https://${host}/",service="ecr.amazonaws.com"`;
      return { status: 401, headers: { 'www-authenticate': challenge } };
    }
    if (state === 'expired') {
      return failure(403, 'DENIED', 'Your authorization token has expired. Reauthenticate and try again.');
    }
    if (repository === '') return undefined;
    if (!repositoryNameIsLegal(repository)) {
      const message = `Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression'`;
      return writes ? failure(405, 'UNSUPPORTED', message) : failure(400, 'NAME_INVALID', message);
    }
    const denied = actions.find((action) => arn !== undefined && allows?.(arn, action, repository) === false);
    if (denied !== undefined) {
      const resource = repositoryArn(this.#account, this.#region, repository);
      return failure(403, 'DENIED', accessDenied('', arn ?? '', `ecr:${denied}`, resource).message);
    }
    // Every action has its own quota. A refused request has already used the quotas that were checked before.
    if (!actions.every((action) => this.#buckets.get(action)?.take() ?? true)) {
      return failure(429, 'TOOMANYREQUESTS', 'Rate exceeded');
    }
    if ((await control.repository(this.#account, this.#region, repository)) !== undefined) return undefined;
    if (writes && createOnPush === true) {
      await control.create(this.#account, this.#region, repository);
      return undefined;
    }
    const where = `in the registry with id '${this.#account}'`;
    return failure(404, 'NAME_UNKNOWN', `The repository with name '${repository}' does not exist ${where}`);
  }

  /** Applies ECR's differences from other registries to an accepted request. */
  async #special(request: HookRequest, asked: DataRequest): Promise<HookResult> {
    const { repository, argument, actions } = asked;
    const [action] = actions;
    switch (action) {
      case 'InitiateLayerUpload':
        return this.#initiate(request, repository);
      case 'PutImage':
        return this.#putImage(request, repository, argument);
      case 'BatchGetImage':
        // The backend may not know a repository that is still empty.
        if ((await this.#has(repository, argument)) && !(await this.#isArchived(repository, argument)))
          return undefined;
        return failure(404, 'MANIFEST_UNKNOWN', 'Requested image not found');
      case 'BatchCheckLayerAvailability':
        return (await this.#isLayerArchived(repository, argument)) ? failure(404, 'BLOB_UNKNOWN', '') : undefined;
      case 'GetDownloadUrlForLayer': {
        const { blobHost } = this.options;
        if (blobHost === undefined) return undefined;
        const location = `https://${blobHost}${request.path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=signed`;
        return { status: 307, headers: { location } };
      }
      default:
        return undefined;
    }
  }

  async #initiate({ path, query }: HookRequest, repository: string): Promise<HookResult> {
    const [digest, from] = [query.get('mount'), query.get('from')];
    if (digest !== null) this.mounts.asked += 1;
    if (digest !== null && from !== null && (await this.#mayMount(repository, from, digest))) {
      this.mounts.granted += 1;
      return undefined;
    }
    // The POST becomes a plain upload, as when ECR does not grant a mount. ECR does not accept the whole blob in this
    // request either.
    return { forward: { path } };
  }

  async #mayMount(repository: string, from: string, digest: string): Promise<boolean> {
    const { control } = this.options;
    if (!(await control.blobMounting()) || this.#referenced.get(from)?.has(digest) !== true) return false;
    const source = await control.repository(this.#account, this.#region, from);
    const target = await control.repository(this.#account, this.#region, repository);
    const encryption = JSON.stringify(target?.encryptionConfiguration);
    return source !== undefined && JSON.stringify(source.encryptionConfiguration) === encryption;
  }

  async #putImage(request: HookRequest, repository: string, reference: string): Promise<HookResult> {
    const manifest = await request.body();
    const settings = await this.options.control.repository(this.#account, this.#region, repository);
    const key = `${repository}:${reference}`;
    const guarded = !reference.includes(':') && settings !== undefined && tagIsImmutable(settings, reference);
    if (guarded) {
      const exists = await this.#has(repository, reference);
      if (exists || this.#claimed.has(key)) {
        const what = settings.imageTagMutability === 'IMMUTABLE' ? 'repository' : 'tag';
        const message = `The image tag '${reference}' already exists in the '${repository}' repository and cannot be overwritten because the ${what} is immutable.`;
        return failure(400, 'TAG_INVALID', message);
      }
      this.#claimed.add(key);
    }
    const answered = (status: number): void => {
      this.#claimed.delete(key);
      if (status === 201) void this.#pushed(repository, reference, manifest);
    };
    return { forward: { answered } };
  }

  async #pushed(repository: string, reference: string, manifest: Buffer): Promise<void> {
    this.learn(repository, manifest);
    const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
    const tag = reference.includes(':') ? undefined : reference;
    this.#layers.set(`${repository}@${digest}`, digestsIn(manifest));
    await this.options.control.pushed(this.#account, this.#region, repository, digest, tag);
  }

  async #isArchived(repository: string, reference: string): Promise<boolean> {
    const status = await this.options.control.imageStatus(this.#account, this.#region, repository, reference);
    return status === 'ARCHIVED' || status === 'ACTIVATING';
  }

  /** A layer is archived when the last image that refers to it is archived. */
  async #isLayerArchived(repository: string, digest: string): Promise<boolean> {
    const prefix = `${repository}@`;
    const users = [...this.#layers].filter(([key, layers]) => key.startsWith(prefix) && layers.includes(digest));
    const archived = await Promise.all(users.map(([key]) => this.#isArchived(repository, key.slice(prefix.length))));
    return archived.length > 0 && !archived.includes(false);
  }

  async #has(repository: string, reference: string): Promise<boolean> {
    const url = `${this.options.backend}/v2/${repository}/manifests/${reference}`;
    const accept = [
      'application/vnd.oci.image.index.v1+json',
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.docker.distribution.manifest.list.v2+json',
      'application/vnd.docker.distribution.manifest.v2+json',
    ];
    const { status } = await fetch(url, { method: 'HEAD', headers: { accept: accept.join(', ') } });
    return status === 200;
  }
}

/** A hook for the blob host: S3 refuses a signed URL when the request also has an Authorization header. */
export const refuseLogins: Hook = ({ headers }) =>
  headers.authorization === undefined
    ? undefined
    : {
        status: 400,
        body: '<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>',
      };

/** Returns the digests that a manifest refers to. */
function digestsIn(manifest: Buffer): readonly string[] {
  const text = manifest.toString();
  return [...text.matchAll(/"digest"\s*:\s*"(sha256:[0-9a-f]{64})"/g)].map(([, digest = '']) => digest);
}

function basicPassword({ headers }: HookRequest): string | undefined {
  const [scheme = '', encoded = ''] = (headers.authorization ?? '').split(' ');
  const decoded = Buffer.from(encoded, 'base64').toString();
  return scheme.toLowerCase() === 'basic' && decoded.startsWith('AWS:') ? decoded.slice(4) : undefined;
}

function failure(status: number, code: string, message: string): HookResult {
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'docker-distribution-api-version': 'registry/2.0',
  };
  return { status, headers, body: JSON.stringify({ errors: [{ code, message }] }) };
}
