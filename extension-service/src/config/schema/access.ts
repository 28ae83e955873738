import * as z from 'zod';
import type { AuthConfig, ServerConfig } from '../../core/config/model.js';
import { SERVED_ROUTES } from '../../core/engines/access.js';
import { described } from '../../schema/field.js';
import { choice, flag, matching, text } from '../../schema/leaves.js';

/** Routes that the admission port serves. */
export const serverSchema = z.strictObject({
  routes: z
    .array(choice(SERVED_ROUTES, 'A route; `/v1/explain` is always served on loopback.'))
    .readonly()
    .exactOptional(),
}) satisfies z.ZodType<ServerConfig>;

const SECRET_ALLOWED =
  'expected 32 to 256 letters, digits and _ + = , . @ : / -, such as the output of openssl rand -hex 32';
const secret = (about: string) =>
  text({ about, allowed: SECRET_ALLOWED, secret: 'all' }, (value) =>
    // The value is not shown in messages.
    /^[\w+=,.@:/-]{32,256}$/.test(value) ? undefined : { message: 'not a valid secret', allowed: SECRET_ALLOWED },
  );

const PATH_ALLOWED = 'expected 32 lower-case hexadecimal digits, such as the output of openssl rand -hex 16';

const name = '[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?';
const nameAllowed = 'expected lower-case letters, digits, - and .';
const objectName = (kind: string, about: string, defaultText?: string) =>
  text(
    { about, allowed: `expected the name of a ${kind}`, ...(defaultText !== undefined && { defaultText }) },
    matching(new RegExp(`^${name}$`), `name of a ${kind}`, nameAllowed),
  );
const accountAllowed = 'expected the NAMESPACE/NAME of a ServiceAccount';

/** How callers authenticate, by route. Client certificates are in `tls.clients`. */
export const authSchema = z.strictObject({
  kyverno: described(
    z.strictObject({
      secret: secret(
        'A string that MutatingPolicies send in the header `Image-Swapper-Secret`; `/v1/kyverno` then refuses other callers. Preferably set from a Secret, through the environment.',
      ).exactOptional(),
      secretName: objectName(
        'Secret',
        'The Secret in `secretNamespace` whose key `secret` holds that string. MutatingPolicies send the header when this or `secret` is set.',
        'image-swapper-caller',
      ).exactOptional(),
      secretNamespace: objectName('Namespace', "Kyverno's own namespace.").default('kyverno'),
      token: flag(
        'Accept the token that ClusterPolicies send, checked by a TokenReview; `/v1/kyverno` then refuses other callers (see `tokenRequired`).',
      ).default(false),
      tokenRequired: flag(
        'With `token`: refuse callers without a valid one. `false` answers them as unknown callers, whose pull secrets are not believed.',
      ).default(true),
      audience: text({
        about: 'The audience of the token.',
        allowed: 'expected a string',
      }).default('kyverno-svc.kyverno.io'),
      serviceAccounts: z
        .array(
          text(
            {
              about:
                'A ServiceAccount whose token is accepted. Needed because any Pod can get a token of its own for any audience.',
              allowed: accountAllowed,
            },
            matching(new RegExp(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/${name}$`), 'ServiceAccount', accountAllowed),
          ),
        )
        .readonly()
        .default(['kyverno/kyverno-admission-controller']),
    }),
    'Who may call `/v1/kyverno`: callers with the secret or the token.',
  ).prefault({}),
  webhook: described(
    z.strictObject({
      path: text(
        {
          about:
            'A secret path segment: the service then answers `/webhook/<path>` and not `/webhook`. Preferably set from a Secret, through the environment.',
          allowed: PATH_ALLOWED,
          secret: 'all',
        },
        (value) => (/^[0-9a-f]{32}$/.test(value) ? undefined : { message: 'not a valid path', allowed: PATH_ALLOWED }),
      ).exactOptional(),
    }),
    'Who may call `/webhook`.',
  ).prefault({}),
  explain: described(
    z.strictObject({
      secret: secret(
        'A string that callers outside loopback send in the header `Image-Swapper-Secret` to `/v1/explain` and `/v1/mirrors`.',
      ).exactOptional(),
    }),
    'Who may call `/v1/explain` and `/v1/mirrors`, in addition to loopback (`kubectl port-forward`).',
  ).prefault({}),
}) satisfies z.ZodType<AuthConfig>;
