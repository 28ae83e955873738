import { randomBytes } from 'node:crypto';
import { AwsError, accessDenied } from './aws-error.js';
import { readSignature, signatureHolds, type SignedRequest } from './aws-signature.js';

/** Access keys and their identity. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** `arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`. */
  readonly arn: string;
  /** Expiry in milliseconds; undefined for the keys of an IAM user. */
  readonly expires?: number;
}

export interface FakeRole {
  /** `arn:aws:iam::ACCOUNT:role/NAME`. */
  readonly arn: string;
  /** The external ID that AssumeRole must send. */
  readonly externalId?: string;
  /** Service account tokens that may assume the role. */
  readonly webIdentityTokens?: readonly string[];
  /** ARNs of users and roles (not sessions) that may assume the role. @default all known identities */
  readonly trustedPrincipals?: readonly string[];
}

export interface Caller {
  readonly keys: AwsKeys;
  readonly account: string;
  readonly region: string;
}

/** Users, roles and issued sessions. Finds the identity that signed a request. */
export class AwsIdentities {
  readonly #keys = new Map<string, AwsKeys>();
  readonly #roles: ReadonlyMap<string, FakeRole>;
  /** Lifetime of sessions in milliseconds. If undefined, the lifetime in the request applies. */
  sessionLife: number | undefined;

  constructor(
    users: readonly AwsKeys[],
    roles: readonly FakeRole[],
    private readonly regions: readonly string[],
  ) {
    for (const user of users) this.#keys.set(user.accessKeyId, user);
    this.#roles = new Map(roles.map((role) => [role.arn, role]));
  }

  role(arn: string): FakeRole | undefined {
    return this.#roles.get(arn);
  }

  /** Creates a session of a role and returns its keys. */
  session(roleArn: string, name: string, seconds: number): AwsKeys & { readonly expires: number } {
    const [, partition = 'aws', , , account = '', resource = ''] = roleArn.split(':');
    const role = resource.slice(resource.lastIndexOf('/') + 1);
    const keys = {
      accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(60).toString('base64'),
      arn: `arn:${partition}:sts::${account}:assumed-role/${role}/${name}`,
      expires: Date.now() + (this.sessionLife ?? seconds * 1000),
    };
    this.#keys.set(keys.accessKeyId, keys);
    return keys;
  }

  /** Invalidates every session issued so far. */
  expireSessions(): void {
    for (const [id, keys] of this.#keys) if (keys.expires !== undefined) this.#keys.set(id, { ...keys, expires: 0 });
  }

  /**
   * Returns the identity that signed the request.
   *
   * @throws AwsError as AWS does: no signature, unknown or expired keys, a wrong secret, region, service or token
   */
  check(request: SignedRequest, service: string): Caller {
    const json = service !== 'sts';
    const scope = readSignature(request.headers);
    if (scope === undefined) {
      const message = 'Missing Authentication Token';
      throw new AwsError(json ? 'MissingAuthenticationTokenException' : 'MissingAuthenticationToken', message, 403);
    }
    const keys = this.#keys.get(scope.accessKey);
    if (keys === undefined || keys.sessionToken !== request.headers['x-amz-security-token']) {
      const code = json ? 'UnrecognizedClientException' : 'InvalidClientTokenId';
      throw new AwsError(code, 'The security token included in the request is invalid.', json ? 400 : 403);
    }
    const badScope = (what: string): AwsError =>
      new AwsError(json ? 'InvalidSignatureException' : 'SignatureDoesNotMatch', what, json ? 400 : 403);
    if (scope.service !== service) throw badScope(`Credential should be scoped to correct service: '${service}'.`);
    if (!this.regions.includes(scope.region)) throw badScope('Credential should be scoped to a valid region.');
    if (!signatureHolds(request, scope, keys.secretAccessKey)) {
      throw badScope('The request signature we calculated does not match the signature you provided.');
    }
    if (keys.expires !== undefined && keys.expires <= Date.now()) {
      const message = 'The security token included in the request is expired';
      throw new AwsError(json ? 'ExpiredTokenException' : 'ExpiredToken', message, json ? 400 : 403);
    }
    return { keys, account: keys.arn.split(':')[4] ?? '', region: scope.region };
  }

  /**
   * @throws AwsError if the caller may not assume the role: it is unknown, does not trust the caller, or requires
   * another external ID
   */
  mayAssume(caller: AwsKeys, roleArn: string, externalId: string | undefined): void {
    const role = this.#roles.get(roleArn);
    const trusted =
      role !== undefined &&
      (role.trustedPrincipals === undefined || role.trustedPrincipals.includes(principal(caller.arn)));
    if (trusted && role.externalId === externalId) return;
    throw accessDenied('AccessDenied', caller.arn, 'sts:AssumeRole', roleArn);
  }
}

/** Returns the user, or the role of a session. */
function principal(arn: string): string {
  const match = /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(arn);
  return match === null ? arn : `arn:${match[1]}:iam::${match[2]}:role/${match[3]}`;
}
