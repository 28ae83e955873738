import { ENGINE_NAMES } from '../../core/engines/names.js';
import { ESCAPE_ADVICE, isDecodable, parseUrl } from '../../util/parse-url.js';
import * as z from 'zod';
import type {
  ClientCertificateConfig,
  Config,
  GcConfig,
  LeaseConfig,
  MirrorConfig,
  PodsConfig,
  PoliciesConfig,
  QueueConfig,
  SecretReaderConfig,
  TlsConfig,
} from '../../core/config/model.js';
import { longestDuration } from '../../core/config/duration.js';
import { described } from '../../schema/field.js';
import { autoFlag, choice, duration, flag, matching, platforms, text, wholeNumber } from '../../schema/leaves.js';

/** How images are copied. */
export const mirrorSchema = z.strictObject({
  concurrency: wholeNumber(
    1,
    256,
    'Number of concurrent copies. If one namespace uses all of them, up to half as many more run for other namespaces. The `mirror` command works on three times as many images if a registry is distant, but sends no more blobs at once.',
  ).default(4),
  perSource: wholeNumber(
    1,
    256,
    'Concurrent copies from one source registry, so that a registry that hangs does not block the others.',
    'one less than `concurrency`',
  ).exactOptional(),
  perTarget: wholeNumber(
    1,
    256,
    'Concurrent copies to one target registry.',
    '`concurrency` with a single target registry, otherwise one less',
  ).exactOptional(),
  platforms: platforms('Which platforms of a multi-platform image to copy.').default('all'),
  referrers: flag('Also copy signatures, attestations and SBOMs, including those added later.').default(true),
  refresh: described(
    z.strictObject({
      interval: duration(1_000, longestDuration, 'How often the service checks tags that can move.').default(3_600_000),
    }),
    'How mirrored images follow tags that move, such as `latest`.',
  ).prefault({}),
  audit: described(
    z.strictObject({
      interval: duration(
        10_000,
        longestDuration,
        'How often each mirrored image is checked completely; checks are spread over this time.',
      ).default(86_400_000),
    }),
    "How the service restores manifests, blobs, signatures, attestations and SBOMs that a target has lost, for example to its registry's garbage collection.",
  ).prefault({}),
}) satisfies z.ZodType<MirrorConfig>;

/** A Kubernetes object's name: a DNS subdomain. */
const objectName = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
const nameAllowed = 'expected lower-case letters, digits, - and .';
const nameOf = (kind: string, about: string) =>
  text({ about, allowed: `expected the name of a ${kind}` }, matching(objectName, `name of a ${kind}`, nameAllowed));

const BAD_ESCAPE = { message: 'has a % that does not begin an escape', allowed: ESCAPE_ADVICE };
const queueUrl = /^(?:rediss?|postgres(?:ql)?):\/\/[^\s/]+/;
const urlAllowed = 'expected a URL that begins with redis://, rediss://, postgres:// or postgresql://';

/** Fields that are added to swapped Pods. */
export const podsSchema = z.strictObject({
  pullSecret: nameOf(
    'Secret',
    "A pull secret for the target, added to swapped Pods that lack it. You distribute the Secret to the Pods' namespaces.",
  ).exactOptional(),
  annotate: flag(
    'Add the annotation `image-swapper.io/original-images` to swapped Pods: a JSON map from each container to its image as written.',
  ).default(false),
}) satisfies z.ZodType<PodsConfig>;

const prefixAllowed = 'expected up to 40 lower-case letters, digits and _, with a letter first';
const sentinelAllowed = 'expected HOST:PORT';

/** The queue of copies. */
export const queueSchema = z.strictObject({
  type: choice(
    ['memory', 'redis', 'postgres'],
    'Where queued copies are kept. With `redis` (also Valkey) or `postgres` every replica copies; with `memory` only the leader does.',
  ).default('memory'),
  // The URL may contain a password, so no message quotes it.
  url: text(
    {
      about:
        'URL of the server, for `redis` and `postgres`; `rediss://` and `?sslmode=verify-full` use TLS. With `sentinels`, its host is the name of the primary.',
      allowed: urlAllowed,
      secret: 'password',
    },
    (value) => {
      const url = queueUrl.test(value) ? parseUrl(value) : undefined;
      if (url === undefined) return { message: 'not the URL of a queue server', allowed: urlAllowed };
      return isDecodable(url.username, url.password, url.pathname) ? undefined : BAD_ESCAPE;
    },
  ).exactOptional(),
  secretName: text(
    { about: 'A Secret with the key `url`, instead of `url`.', allowed: 'expected the name of a Secret' },
    matching(objectName, 'name of a Secret', nameAllowed),
  ).exactOptional(),
  passwordFile: text({
    about:
      "A file with the server's password, instead of one in the URL. A changed file is used from the next connection on.",
    allowed: 'expected the path of a file',
  }).exactOptional(),
  caFile: text({
    about: "PEM file with the CA certificates of the server's certificate; requires TLS.",
    allowed: 'expected the path of a file',
  }).exactOptional(),
  prefix: text(
    {
      about:
        'The keys in Redis begin with it; in PostgreSQL it is the name of the schema. Installs that share a server need different ones.',
      allowed: prefixAllowed,
    },
    matching(/^[a-z][a-z0-9_]{0,39}$/, 'prefix', prefixAllowed),
  ).default('image_swapper'),
  sentinels: z
    .array(
      text(
        { about: 'A Redis Sentinel.', allowed: sentinelAllowed },
        matching(/^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/, 'address of a Sentinel', sentinelAllowed),
      ),
    )
    .readonly()
    .default([]),
  sentinelPasswordFile: text({
    about: "A file with the Sentinels' password.",
    allowed: 'expected the path of a file',
  }).exactOptional(),
}) satisfies z.ZodType<QueueConfig>;

/** A tag of a registry, which identifies a cluster there. */
const clusterName = (about: string) =>
  text(
    { about, allowed: 'expected the name of a cluster' },
    matching(
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
      'name of a cluster',
      'expected lower-case letters, digits and -',
    ),
  );

/** Records keep uses for twice this time. */
const MAX_GC_AFTER_MS = 400 * 86_400_000;

/** Cleanup of unused images. */
export const gcSchema = z.strictObject({
  enabled: flag(
    'The leader deletes unused images from the targets once a day. `image-swapper gc` deletes them at once.',
  ).default(false),
  after: duration(
    86_400_000,
    MAX_GC_AFTER_MS,
    'How long no cluster must have used an image before it is deleted; at least 24h.',
  ).default(2_592_000_000),
  cluster: clusterName(
    'The name under which this cluster records in each target when it used which image. Each cluster needs a name of its own.',
  ).exactOptional(),
  clusters: z
    .array(
      clusterName(
        'The `gc.cluster` of a cluster that uses the targets. Nothing is deleted without a recent record of each.',
      ),
    )
    .readonly()
    .default([]),
  deletePlatforms: autoFlag(
    'Delete each platform of a multi-platform image, and not only its index. `auto`: until the registry has shown that it deletes the platforms of a deleted index itself. `false` for a registry that does so later.',
  ).default('auto'),
}) satisfies z.ZodType<GcConfig>;

/** How images that are missing in targets are found. */
export const reconcileSchema = z.strictObject({
  enabled: flag("Periodically compare the cluster's images with the targets.").default(true),
  interval: duration(1_000, longestDuration, 'How often to compare.').default(600_000),
}) satisfies z.ZodType<Config['reconcile']>;

/** Which pull secrets of Pods the service may read. */
export const secretReaderSchema = z.strictObject({
  enabled: flag('Read the pull secrets of Pods and their ServiceAccounts, for copies from private sources.').default(
    true,
  ),
  secretNames: described(
    z.array(nameOf('Secret', 'The name of a Secret.')).readonly(),
    'If set, the service reads only Secrets with these names, so it needs no permission for others.',
  ).default([]),
}) satisfies z.ZodType<SecretReaderConfig>;

/** The Lease that determines the leader among the replicas. */
export const leaseSchema = z.strictObject({
  name: nameOf('Lease', 'The Lease. The replica that holds it makes copies and writes to the cluster.').default(
    'image-swapper',
  ),
  namespace: nameOf('Namespace', "Namespace of the Lease; defaults to the service's own namespace.").exactOptional(),
}) satisfies z.ZodType<LeaseConfig>;

/** Whether copies are reported as Events. */
export const eventsSchema = z.strictObject({
  enabled: flag('Report copy results as Kubernetes Events on the workloads that use the images.').default(true),
}) satisfies z.ZodType<Config['events']>;

/** @param caller who calls the route; @param route its path */
function clientSchema(caller: string, route: string) {
  return z.strictObject({
    caFile: text({
      about: `A PEM file with the CA certificates of ${caller} certificate; \`${route}\` then refuses other callers.`,
      allowed: 'expected a path',
    }),
    names: z
      .array(
        text({
          about: `A DNS name or common name. If any is set, ${caller} certificate must have one of them.`,
          allowed: 'expected a string',
        }),
      )
      .readonly()
      .default([]),
  }) satisfies z.ZodType<ClientCertificateConfig>;
}

/** The source of the serving certificate. */
export const tlsSchema = z.strictObject({
  mode: choice(
    ['files', 'selfSigned'],
    '`files`: `--tls-cert-file` and `--tls-key-file`. `selfSigned`: the service creates, shares and rotates the certificate.',
  ).default('files'),
  secretName: nameOf('Secret', 'With `selfSigned`: the Secret that the replicas share.').default('image-swapper-tls'),
  configMapName: nameOf(
    'ConfigMap',
    'With `selfSigned`: the ConfigMap to which the service writes its CA certificate.',
  ).default('image-swapper-ca'),
  dnsNames: z.array(nameOf('host', 'With `selfSigned`: a DNS name of the certificate.')).readonly().default([]),
  clients: described(
    z.strictObject({
      gatekeeper: described(
        clientSchema("Gatekeeper's", '/v1/gatekeeper'),
        "Require Gatekeeper's client certificate on `/v1/gatekeeper`.",
      ).exactOptional(),
      webhook: described(
        clientSchema("the API server's", '/webhook'),
        "Require the API server's client certificate on `/webhook`.",
      ).exactOptional(),
    }),
    'Routes that require a client certificate.',
  ).prefault({}),
}) satisfies z.ZodType<TlsConfig>;

/** Whether the service itself writes policies to the cluster. */
export const enginePoliciesSchema = z.strictObject({
  manage: flag('The leader creates and updates the policies in the cluster.').default(false),
  engine: choice([...ENGINE_NAMES, 'none'], 'The policy engine; `kyverno` uses MutatingPolicies.').default('kyverno'),
  undecidable: choice(
    ['refuse', 'webhook'],
    'For `mutatingadmissionpolicy`: `refuse` rejects filters and `match` expressions that the API server cannot decide. `webhook` lets the service decide the Pods that they may concern, through a webhook.',
  ).default('refuse'),
  table: flag(
    'For `kyverno`: Kyverno swaps Pods from a table of the images in the targets, and calls the service only for other Pods. Requires `manage` and the CustomResourceDefinition `imagetables.image-swapper.io`.',
  ).default(false),
  name: text(
    { about: 'Name of the policy or Provider.', allowed: 'expected the name of a policy' },
    matching(
      /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
      'name of a policy',
      'expected up to 40 lower-case letters, digits and -',
    ),
  ).default('image-swapper'),
  url: text(
    { about: 'The base URL at which the engine reaches the service.', allowed: 'expected an http or https URL' },
    (value) =>
      /^https?:\/\/[^\s/]/.test(value) && parseUrl(value) !== undefined
        ? undefined
        : { message: 'not a valid URL', allowed: 'expected an http or https URL' },
  ).exactOptional(),
  caFile: text({
    about:
      'With `manage`, for `kyverno-clusterpolicy`, `gatekeeper` and `webhook`: PEM file with the CA certificates of the serving certificate. Not needed with `tls.mode: selfSigned`.',
    allowed: 'expected the path of a file',
  }).exactOptional(),
  failClosed: flag('Refuse Pods while the service is unreachable.').default(false),
  excludedNamespaces: z
    .array(
      nameOf(
        'Namespace',
        'A namespace whose Pods the policies do not change, in addition to the namespaces of the system, the engine and the service.',
      ),
    )
    .readonly()
    .default([]),
}) satisfies z.ZodType<PoliciesConfig>;
