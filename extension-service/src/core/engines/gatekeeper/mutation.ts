import type { GatekeeperAssignObject, GatekeeperProviderObject } from '../../policies/objects.js';
import { configHash, gatekeeperProfile, hashAnnotation } from '../../policies/config-hash.js';
import {
  checkFilters,
  checkLabel,
  checkSubdomain,
  policyMetadata,
  resolvePodOptions,
  resolvePolicyOptions,
  type PodOptions,
  type PolicyDefaults,
  type PolicyOptions,
} from '../../policies/options.js';
import { base64Ascii, normalizeCertificates } from '../../policies/pem.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { gatekeeperFilters, MAX_MATCHES } from '../../policies/pushdown/gatekeeper-match.js';
import type { LabelExpression } from '../../policies/pushdown/label-demand.js';
import type { GatekeeperMatch } from '../../policies/pushdown/match-draft.js';
import type { OperatorConfig } from '../../config/model.js';
import { IMAGE_PLACES, takesUpdates } from '../../decide/image-places.js';
import type { ImagePlace } from '../../decide/image-places.js';
import { labelParts } from '../../decide/operators.js';
import { checkBoolean } from '../../policies/shapes.js';
import { requireHttps, routeUrl } from '../../policies/url.js';
import { ROUTES } from '../routes.js';

/** Gatekeeper's webhook has only one second by default. */
export const GATEKEEPER_DEFAULTS: PolicyDefaults = { timeoutSeconds: 1, namespaces: ['gatekeeper-system'] };

/** Gatekeeper cannot check the answers, so it needs no `targets`: Pods get exactly what the service answers. */
export interface GatekeeperOptions extends PolicyOptions {
  /** CA certificates (PEM) that sign the service's certificate; Gatekeeper trusts no others for providers. */
  readonly caBundle: string;
  /**
   * Calls `/v1/gatekeeper/PROFILE`, so that the service knows the configuration of these objects. Default: no profile.
   */
  readonly profile?: string;
  /**
   * The configuration's `source.filters`, in order. Filters on namespaces and labels become `match`, filters on the
   * image alone are evaluated by the service, and any other is rejected, because the service does not see the Pod. Not
   * with `profile`.
   */
  readonly filters?: readonly string[];
  /**
   * Also swap the images of ephemeral containers. Default false: Gatekeeper cannot distinguish new ones from existing
   * ones, and the API server refuses a request that changes an existing one.
   */
  readonly ephemeralContainers?: boolean;
  /** Other parts of the configuration that the mutators depend on. */
  readonly pods?: PodOptions;
  /**
   * Whether the Provider has the plain name regardless of filters, for callers that delete mutators of earlier filters
   * first.
   */
  readonly fixedProvider?: boolean;
}

/** Excludes Pods that an operator is known by through a label. Gatekeeper's `match` cannot read owner references. */
function notLabeledBy(operators: readonly OperatorConfig[]): readonly LabelExpression[] {
  return operators.flatMap(({ label }): readonly LabelExpression[] => {
    if (label === undefined) return [];
    const { key, value } = labelParts(label);
    return [value === undefined ? { key, operator: 'DoesNotExist' } : { key, operator: 'NotIn', values: [value] }];
  });
}

function copyExpression(expression: LabelExpression): LabelExpression {
  return { ...expression, ...(expression.values !== undefined && { values: [...expression.values] }) };
}

/** Names are never cut off: Gatekeeper accepts 63 characters (the longest suffix is `-ephemeralcontainers`). */
const NAME_LIMIT = 63 - 'zz--ephemeralcontainers'.length;
/** With several mutators for a list of containers, each has a number at the end. */
const NUMBER = '-1'.length;

/**
 * The name of the Provider for these filters. When a configuration with fewer mutators is applied over another, the
 * additional mutators of the old one remain. They must not apply filters that they do not know, so each set of filters
 * has its own Provider.
 *
 * @throws InvalidPolicyOptionError for a filter that Gatekeeper cannot decide
 */
export function providerName(name: string, filters: readonly string[]): string {
  return ownProvider(name, filters, gatekeeperFilters(filters).matches.length > 1);
}

function ownProvider(name: string, filters: readonly string[], isSplit: boolean): string {
  return isSplit ? `${name}-${configHash(filters, [])}` : name;
}

/** Mutators run in the order of their names: `zz-` puts ours after those that set an image from elsewhere. */
function assignName(policyName: string, list: string, number?: number): string {
  return `zz-${policyName}-${list.toLowerCase()}${number === undefined ? '' : `-${number}`}`;
}

/** Locations whose images are only set at creation. */
const CREATED_PLACES: readonly ImagePlace[] = IMAGE_PLACES.filter((place) => !takesUpdates(place));

/**
 * Every name that an `Assign` of a configuration can have; those of ephemeral containers are an option of the
 * constructs.
 */
export function assignNames(policyName: string): readonly string[] {
  const numbers = [undefined, ...Array.from({ length: MAX_MATCHES }, (_, index) => index + 1)];
  return CREATED_PLACES.flatMap(({ key }) => numbers.map((number) => assignName(policyName, key, number)));
}

/**
 * Gatekeeper's (≥ 3.23) `Provider` and one `Assign` for each container list, in the order in which to apply them;
 * several if filters contain `&&`, since a `match` has no "or". A Pod that several match still costs one call. The
 * timeout is 1 s by default because Gatekeeper's webhook has no more; raise the webhook's timeout first.
 */
export function renderGatekeeper(
  options: GatekeeperOptions,
): readonly [GatekeeperProviderObject, ...GatekeeperAssignObject[]] {
  const resolved = resolvePolicyOptions(options, GATEKEEPER_DEFAULTS);
  requireHttps(resolved.url, 'url', 'Gatekeeper');
  if (options.ephemeralContainers !== undefined) checkBoolean(options.ephemeralContainers, 'ephemeralContainers');
  if (options.profile !== undefined) checkLabel(options.profile, 'profile');
  if (options.profile !== undefined && options.filters !== undefined) {
    throw new InvalidPolicyOptionError('profile', 'cannot be combined with filters, which set their own');
  }
  const filters = checkFilters(options.filters);
  const { matches } = gatekeeperFilters(filters);
  const isSplit = matches.length > 1;
  checkSubdomain(resolved.name, 'name', NAME_LIMIT - (isSplit ? NUMBER : 0));
  const profile = options.filters === undefined ? options.profile : gatekeeperProfile(filters);
  const annotations = hashAnnotation(
    options.filters === undefined ? undefined : configHash(filters, [], 'keep', options.pods),
  );
  const called = ownProvider(resolved.name, filters, isSplit && options.fixedProvider !== true);
  const provider: GatekeeperProviderObject = {
    apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
    kind: 'Provider',
    metadata: policyMetadata(called, options, annotations),
    spec: {
      url: routeUrl(resolved.url, `${ROUTES.gatekeeper.path}${profile === undefined ? '' : `/${profile}`}`),
      timeout: resolved.timeoutSeconds,
      caBundle: base64Ascii(normalizeCertificates(options.caBundle, 'caBundle')),
    },
  };
  const notOfOperators = notLabeledBy(resolvePodOptions(options.pods).operators);
  const assign = (place: ImagePlace, match: GatekeeperMatch, number: number): GatekeeperAssignObject => {
    const location = `spec.${place.list}[${place.name}:*].${place.image.join('.')}`;
    const operation = takesUpdates(place) ? 'UPDATE' : 'CREATE';
    return {
      apiVersion: 'mutations.gatekeeper.sh/v1',
      kind: 'Assign',
      metadata: policyMetadata(
        assignName(resolved.name, place.key, isSplit ? number : undefined),
        options,
        annotations,
      ),
      spec: {
        // Without operations, every update of a Pod would call again and restart running containers.
        applyTo: [{ groups: [''], versions: ['v1'], kinds: ['Pod'], operations: [operation] }],
        match: {
          source: 'Original',
          scope: 'Namespaced',
          kinds: [{ apiGroups: [''], kinds: ['Pod'] }],
          ...(match.namespaces !== undefined && { namespaces: [...match.namespaces] }),
          excludedNamespaces: [...new Set([...resolved.excludedNamespaces, ...match.excludedNamespaces])],
          // Copies, because YAML would write an object that occurs twice as an alias.
          labelSelector: { matchExpressions: [...match.labels, ...notOfOperators].map(copyExpression) },
        },
        location,
        parameters: {
          // Without it, Gatekeeper adds the field to entries that do not have it, and the Pod is refused.
          pathTests: [{ subPath: location, condition: 'MustExist' }],
          assign: {
            externalData: {
              provider: called,
              dataSource: 'ValueAtLocation',
              failurePolicy: resolved.failurePolicy,
            },
          },
        },
      },
    };
  };
  const { places } = resolvePodOptions(options.pods);
  const asked = options.ephemeralContainers === true ? places : places.filter((place) => !takesUpdates(place));
  return [provider, ...asked.flatMap((place) => matches.map((match, index) => assign(place, match, index + 1)))];
}
