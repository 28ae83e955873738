/**
 * The source of credentials that the environment selects. The SDK tries all of them, and then reports only that none had
 * credentials.
 */
export interface CredentialSource {
  /** The variable that selects it. */
  readonly variable: string;
  /** The advice if it has no credentials. */
  readonly check: string;
}

/** In the order of the SDK's default chain; static keys, which need no call, come first there. */
const SOURCES: readonly CredentialSource[] = [
  { variable: 'AWS_PROFILE', check: 'the shared files must have this profile' },
  {
    variable: 'AWS_WEB_IDENTITY_TOKEN_FILE',
    check: 'the ServiceAccount also needs its role in AWS_ROLE_ARN, from the annotation eks.amazonaws.com/role-arn',
  },
  {
    variable: 'AWS_CONTAINER_CREDENTIALS_FULL_URI',
    check:
      "the EKS Pod Identity agent must run on the node, and the cluster must have an association for the Pod's ServiceAccount",
  },
];

const NONE =
  'there are no AWS credentials: provide a Secret with keys (awsSecretName), a role for the ServiceAccount (IRSA), or an ' +
  "EKS Pod Identity association; Pods only get a node's own role with a metadata hop limit of 2";

/** Undefined if the environment selects none. */
export function credentialSource(env: Readonly<Record<string, string | undefined>>): CredentialSource | undefined {
  return SOURCES.find(({ variable }) => (env[variable] ?? '') !== '');
}

export function missingCredentials(source: CredentialSource | undefined): string {
  return source === undefined ? NONE : `${source.variable} is set and gave no credentials: ${source.check}`;
}

const sources = new WeakMap<Error, CredentialSource>();

/** Middleware for the SDK's clients: errors about credentials keep the source that the environment selects. */
export function rememberSource(env: Readonly<Record<string, string | undefined>>) {
  return <Args, Output>(next: (args: Args) => Promise<Output>): ((args: Args) => Promise<Output>) =>
    async (args) => {
      try {
        return await next(args);
      } catch (error) {
        const source = credentialSource(env);
        if (error instanceof Error && source !== undefined) sources.set(error, source);
        throw error;
      }
    };
}

/** The source that was remembered for an error. */
export function sourceIn(error: unknown): CredentialSource | undefined {
  return error instanceof Error ? sources.get(error) : undefined;
}
