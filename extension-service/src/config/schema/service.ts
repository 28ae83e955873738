import { ENGINE_NAMES } from '../../core/engines/names.js';
import { parseUrl } from '../../util/parse-url.js';
import { z } from 'zod';
import type {
  ClientCertificateConfig,
  Config,
  LeaseConfig,
  MirrorConfig,
  PodsConfig,
  PoliciesConfig,
  QueueConfig,
  SecretReaderConfig,
  TlsConfig,
} from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import { longestDuration } from '../../core/config/duration.js';
import { described } from '../../schema/field.js';
import { choice, duration, flag, matching, platforms, text, wholeNumber } from '../../schema/leaves.js';

/** How images are copied. */
export const mirrorSchema = z.strictObject({
  concurrency: wholeNumber(
    1,
    256,
    'Copies at once. Up to half as many more run for other namespaces when one namespace holds all of these.',
  ).default(4),
  perSource: wholeNumber(
    1,
    256,
    'Copies at once from one source registry, so that one that hangs does not hold up the others.',
    'one less than `concurrency`',
  ).exactOptional(),
  perTarget: wholeNumber(
    1,
    256,
    'Copies at once to one target registry.',
    'one less than `concurrency`, all with a single target registry',
  ).exactOptional(),
  platforms: platforms('What to copy of images for several platforms.').default('all'),
  referrers: flag('Copy signatures, attestations and SBOMs with the image, and those that come later.').default(true),
  refresh: described(
    z.strictObject({
      interval: duration(1_000, longestDuration, 'How often moving tags are looked at.').default(3_600_000),
    }),
    'How images follow tags that move, such as `latest`.',
  ).prefault({}),
  audit: described(
    z.strictObject({
      interval: duration(
        10_000,
        longestDuration,
        'How often each mirrored image is looked at as a whole; the images are spread over this time.',
      ).default(86_400_000),
    }),
    "How parts of images that a target has lost, by its registry's garbage collection for one, come back: every manifest, blob, signature, attestation and SBOM.",
  ).prefault({}),
}) satisfies z.ZodType<MirrorConfig>;

/** A Kubernetes object's name: a DNS subdomain. */
const objectName = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
const nameAllowed = 'lower-case letters, digits, - and . are allowed';
const nameOf = (kind: string, about: string) =>
  text({ about, allowed: `the name of a ${kind} is allowed` }, matching(objectName, `name of a ${kind}`, nameAllowed));

const queueUrl = /^(?:rediss?|postgres(?:ql)?):\/\/[^\s/]+/;
const urlAllowed = 'a URL that begins with redis://, rediss://, postgres:// or postgresql:// is allowed';

/** Fields that swapped Pods get in addition to their images. */
export const podsSchema = z.strictObject({
  pullSecret: nameOf(
    'Secret',
    "A pull secret for the target, which you distribute to the Pods' namespaces. It is added to swapped Pods that lack it.",
  ).exactOptional(),
  annotate: flag(
    'Swapped Pods get the annotation `image-swapper.io/original-images`: a JSON map from containers to their images as written.',
  ).default(false),
}) satisfies z.ZodType<PodsConfig>;

/** Where copies wait. */
export const queueSchema = z.strictObject({
  type: choice(
    ['memory', 'redis', 'postgres'],
    'Where copies wait for their turn. `redis` and `postgres` are not available yet: refused at the start.',
  ).default('memory'),
  // The URL may have a password in it, so no message quotes it.
  url: text({ about: 'The server, for `redis` and `postgres`.', allowed: urlAllowed, secret: 'password' }, (value) =>
    queueUrl.test(value) && parseUrl(value) !== undefined
      ? undefined
      : { message: 'this is not a URL of a queue server', allowed: urlAllowed },
  ).exactOptional(),
  secretName: text(
    { about: 'A Secret with the key `url`, instead of `url`.', allowed: 'the name of a Secret is allowed' },
    matching(objectName, 'name of a Secret', nameAllowed),
  ).exactOptional(),
}) satisfies z.ZodType<QueueConfig>;

/** Whether the URL is of the queue's type; the message tells. */
export function queueUrlFault(type: string, url: string): string | undefined {
  const schemes: Readonly<Record<string, RegExp>> = { redis: /^rediss?:/, postgres: /^postgres(?:ql)?:/ };
  return schemes[type]?.test(url) === false ? `this is not a ${type} URL, and type is ${quoteInput(type)}` : undefined;
}

/** How what is missing in targets is found. */
export const reconcileSchema = z.strictObject({
  enabled: flag("Compare the cluster's images with the targets.").default(true),
  interval: duration(1_000, longestDuration, 'How often.').default(600_000),
}) satisfies z.ZodType<Config['reconcile']>;

/** Which pull secrets of Pods may be read. */
export const secretReaderSchema = z.strictObject({
  enabled: flag('Read the pull secrets of Pods and their ServiceAccounts, for copies from private sources.').default(
    true,
  ),
  secretNames: described(
    z.array(nameOf('Secret', 'A Secret.')).readonly(),
    'Where there are any: only Secrets of these names are read, by name, so that no right to others is needed.',
  ).default([]),
}) satisfies z.ZodType<SecretReaderConfig>;

/** Which Lease makes one replica the leader. */
export const leaseSchema = z.strictObject({
  name: nameOf('Lease', 'The Lease whose holder copies, and writes into the cluster.').default('image-swapper'),
  namespace: nameOf('Namespace', "Where the Lease is; the service's own namespace unless given.").exactOptional(),
}) satisfies z.ZodType<LeaseConfig>;

/** Whether copies are told as Events. */
export const eventsSchema = z.strictObject({
  enabled: flag('Tell what became of copies as Events on the workloads that use the images.').default(true),
}) satisfies z.ZodType<Config['events']>;

/** @param caller who calls the route; @param route its path */
function clientSchema(caller: string, route: string) {
  return z.strictObject({
    caFile: text({
      about: `A PEM file with the CA certificates of ${caller} certificate; \`${route}\` then refuses other callers.`,
      allowed: 'a path is allowed',
    }),
    names: z
      .array(
        text({
          about: `A DNS name or common name; with any, ${caller} certificate must be for one of them.`,
          allowed: 'a text is allowed',
        }),
      )
      .readonly()
      .default([]),
  }) satisfies z.ZodType<ClientCertificateConfig>;
}

/** Where the serving certificate comes from. */
export const tlsSchema = z.strictObject({
  mode: choice(
    ['files', 'selfSigned'],
    '`files`: `--tls-cert-file` and `--tls-key-file`. `selfSigned`: made, shared and rotated by the service itself.',
  ).default('files'),
  secretName: nameOf('Secret', 'With `selfSigned`: the Secret that the replicas share.').default('image-swapper-tls'),
  configMapName: nameOf('ConfigMap', "With `selfSigned`: the ConfigMap that gets the authority's certificate.").default(
    'image-swapper-ca',
  ),
  dnsNames: z.array(nameOf('host', 'With `selfSigned`: a name that the certificate is for.')).readonly().default([]),
  clients: described(
    z.strictObject({
      gatekeeper: described(
        clientSchema("Gatekeeper's", '/v1/gatekeeper'),
        "Answer `/v1/gatekeeper` only to Gatekeeper's certificate.",
      ).exactOptional(),
      webhook: described(
        clientSchema("the API server's", '/webhook'),
        "Answer `/webhook` only to the API server's certificate.",
      ).exactOptional(),
    }),
    'Routes that answer only callers with a certificate.',
  ).prefault({}),
}) satisfies z.ZodType<TlsConfig>;

/** Whether the service itself writes policies into the cluster. */
export const enginePoliciesSchema = z.strictObject({
  manage: flag('The leader creates and updates the policies in the cluster.').default(false),
  engine: choice([...ENGINE_NAMES, 'none'], 'Which policies; `kyverno` are MutatingPolicies.').default('kyverno'),
  name: text(
    { about: 'Name of the policy, or of the Provider.', allowed: 'the name of a policy is allowed' },
    matching(
      /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
      'name of a policy',
      'up to 40 lower-case letters, digits and - are allowed',
    ),
  ).default('image-swapper'),
  url: text(
    { about: "The service's base URL as the engine reaches it.", allowed: 'an http or https URL is allowed' },
    (value) =>
      /^https?:\/\/[^\s/]/.test(value) && parseUrl(value) !== undefined
        ? undefined
        : { message: 'this is not a URL', allowed: 'an http or https URL is allowed' },
  ).exactOptional(),
  caFile: text({
    about:
      'With `manage`, for `kyverno-clusterpolicy`, `gatekeeper` and `webhook`: PEM file with the authorities of the serving certificate. `tls.mode: selfSigned` needs none.',
    allowed: 'the path of a file is allowed',
  }).exactOptional(),
  failClosed: flag('Pods are refused while the service cannot be asked.').default(false),
  excludedNamespaces: z
    .array(
      nameOf(
        'Namespace',
        "A namespace whose Pods the policies leave alone, besides the system's, the engine's and the service's own.",
      ),
    )
    .readonly()
    .default([]),
}) satisfies z.ZodType<PoliciesConfig>;
