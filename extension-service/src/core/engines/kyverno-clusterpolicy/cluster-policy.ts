import { CONFIG_HASH_HEADER, hashAnnotation, hashIn } from '../../policies/config-hash.js';
import { jmespathIdentifier, jmespathString } from '../../policies/literals.js';
import type {
  KyvernoClusterPolicyObject,
  KyvernoConditions,
  KyvernoContextEntry,
  KyvernoForeach,
  KyvernoRule,
} from '../../policies/objects.js';
import {
  checkFilters,
  checkLabel,
  checkSubdomain,
  checkTargets,
  policyMetadata,
  resolvePodOptions,
  resolvePolicyOptions,
} from '../../policies/options.js';
import type { GuardOptions, PolicyOptions, ResolvedPodOptions, ResolvedPolicyOptions } from '../../policies/options.js';
import { normalizeCertificates } from '../../policies/pem.js';
import type { OperatorConfig } from '../../config/model.js';
import { ORIGINAL_IMAGES_KEY, ORIGINAL_IMAGES_PATTERN } from '../../decide/pod-additions.js';
import { takesUpdates } from '../../decide/image-places.js';
import type { ImagePlace } from '../../decide/image-places.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { operatorsInJmespath } from '../../policies/pushdown/operators.js';
import { kyvernoJmespathOf } from '../../policies/pushdown/jmespath.js';
import { fieldsOf } from '../../policies/pushdown/predicate.js';
import { skippedPods } from '../../policies/pushdown/skipped.js';
import type { SkippedPods } from '../../policies/pushdown/skipped.js';
import { routeUrl } from '../../policies/url.js';
import type { ConfigMapKey } from '../engine.js';
import { KYVERNO_DEFAULTS, labelsForKyverno } from '../kyverno/defaults.js';
import { ROUTES } from '../routes.js';

export interface KyvernoClusterPolicyOptions extends PolicyOptions, GuardOptions {
  /** CA certificates (PEM) that sign the service's certificate. Not with `caConfigMap`. */
  readonly caBundle?: string;
  /**
   * The ConfigMap from which Kyverno reads them at each request, so that they can rotate without a change to the
   * policy.
   */
  readonly caConfigMap?: ConfigMapKey;
}

// Kyverno finds the entries that an expression uses by these names: they must not begin like one of Kyverno's own.
const ANSWER_VARIABLE = 'swapperAnswer';
const CA = 'swapperCa';

/**
 * A `ClusterPolicy` (kyverno.io/v1, Kyverno ≤ 1.19), for clusters without `MutatingPolicy`. One call for each Pod.
 *
 * The Pod is sent as `to_string(request)`: in an object, Kyverno would look for `{{ }}` and evaluate text of the Pod's
 * author. No `matchConditions`: Kyverno's command line cannot test policies that have them (1.19.1).
 */
export function renderKyvernoClusterPolicy(options: KyvernoClusterPolicyOptions): KyvernoClusterPolicyObject {
  const resolved = resolvePolicyOptions(options, KYVERNO_DEFAULTS);
  const targets = checkTargets(options.targets);
  const filters = checkFilters(options.filters);
  // Any Pod may name a target, and its author writes the opt-outs, so the service decides.
  const skipped = options.directTarget === 'refuse' ? undefined : skippedPods(filters, kyvernoJmespathOf);
  const pods = resolvePodOptions(options.pods);
  const hash = hashIn({ ...options, targets });
  const annotations = { ...hashAnnotation(hash), 'pod-policies.kyverno.io/autogen-controllers': 'none' };
  return {
    apiVersion: 'kyverno.io/v1',
    kind: 'ClusterPolicy',
    metadata: policyMetadata(resolved.name, { ...options, labels: labelsForKyverno(options) }, annotations),
    spec: {
      admission: true,
      background: false,
      webhookConfiguration: { failurePolicy: resolved.failurePolicy, timeoutSeconds: resolved.timeoutSeconds },
      rules: [
        createRule(resolved, contextEntries(options, resolved, hash), targets, skipped, pods),
        ephemeralRule(resolved, contextEntries(options, resolved, hash), targets, skipped, pods),
      ],
    },
  };
}

function createRule(
  { excludedNamespaces }: ResolvedPolicyOptions,
  context: readonly KyvernoContextEntry[],
  targets: readonly string[],
  skipped: SkippedPods | undefined,
  pods: ResolvedPodOptions,
): KyvernoRule {
  const { places, operators } = pods;
  return {
    name: 'swap',
    match: { any: [{ resources: { kinds: ['Pod'], operations: ['CREATE'] } }] },
    exclude: { any: [{ resources: { namespaces: [...excludedNamespaces] } }] },
    // Kyverno's own default. Argo CD shows a default that the API server adds inside a list as a difference.
    skipBackgroundRequests: true,
    context,
    preconditions: {
      all: [
        {
          // Static Pods: the kubelet has already started them from its own manifest. The expression returns only a
          // boolean:
          // Kyverno would look for variables in an annotation's text.
          key: "{{ contains(keys(request.object.metadata.annotations || `{}`), 'kubernetes.io/config.mirror') }}",
          operator: 'Equals',
          value: false,
        },
        ...(skipped === undefined
          ? []
          : [
              ...notSkipped(skipped),
              ...notOfOperators(operators),
              imagesOutside(`request.object.spec.[${places.map(asContainers).join(', ')}][][]`, targets, skipped),
            ]),
      ],
    },
    mutate: {
      foreach: [
        {
          // A list of one, so that the whole patch is one variable: Kyverno evaluates text around
          // variables again.
          list: `[{patches: ${guardedPatches(places, targets)}}]`,
          patchesJson6902: '{{ to_string(element.patches) }}',
        },
        ...additions(pods),
      ],
    },
  };
}

/** A second rule, because updates may change other fields; a request matches only one of them, so there is one call. */
function ephemeralRule(
  { excludedNamespaces }: ResolvedPolicyOptions,
  context: readonly KyvernoContextEntry[],
  targets: readonly string[],
  skipped: SkippedPods | undefined,
  { places, operators }: ResolvedPodOptions,
): KyvernoRule {
  const now = '(request.object.spec.ephemeralContainers || `[]`)';
  const before = '(request.oldObject.spec.ephemeralContainers || `[]`)';
  const patched = `lookup(${now}, to_number(split(element.path, '/')[3])).name`;
  const foreach: KyvernoForeach = {
    list: guardedPatches(places.filter(takesUpdates), targets),
    // Existing ephemeral containers cannot change: the API server refuses a request that patches one.
    preconditions: {
      all: [{ key: `{{ contains(${before}[].name, ${patched}) }}`, operator: 'Equals', value: false }],
    },
    patchesJson6902: '{{ to_string([element]) }}',
  };
  return {
    name: 'swap-ephemeral',
    match: { any: [{ resources: { kinds: ['Pod/ephemeralcontainers'], operations: ['UPDATE'] } }] },
    exclude: { any: [{ resources: { namespaces: [...excludedNamespaces] } }] },
    skipBackgroundRequests: true,
    context,
    ...(skipped !== undefined && {
      preconditions: {
        all: [...notSkipped(skipped), ...notOfOperators(operators), imagesOutside(now, targets, skipped)],
      },
    }),
    mutate: { foreach: [foreach] },
  };
}

function contextEntries(
  options: KyvernoClusterPolicyOptions,
  { url }: ResolvedPolicyOptions,
  hash: string | undefined,
): KyvernoContextEntry[] {
  const { caBundle, caConfigMap } = options;
  if (caBundle !== undefined && caConfigMap !== undefined) {
    throw new InvalidPolicyOptionError('caConfigMap', 'cannot be combined with caBundle');
  }
  if (url.scheme === 'http' && (caBundle ?? caConfigMap) !== undefined) {
    const option = caBundle === undefined ? 'caConfigMap' : 'caBundle';
    throw new InvalidPolicyOptionError(option, 'has no effect with an http:// url; use https:// or leave it out');
  }
  const call = (ca?: string): KyvernoContextEntry => ({
    name: ANSWER_VARIABLE,
    apiCall: {
      // Set explicitly: outside a cluster the API's default does not apply.
      method: 'POST',
      data: [{ key: 'request', value: '{{ to_string(request) }}' }],
      service: {
        url: routeUrl(url, ROUTES.kyverno.path),
        headers: [
          { key: 'Content-Type', value: 'application/json' },
          ...(hash === undefined ? [] : [{ key: CONFIG_HASH_HEADER, value: hash }]),
        ],
        ...(ca === undefined ? {} : { caBundle: ca }),
      },
    },
  });
  if (caConfigMap === undefined) {
    return [call(caBundle === undefined ? undefined : normalizeCertificates(caBundle, 'caBundle'))];
  }
  const { name, namespace, key = 'ca.crt' } = caConfigMap;
  checkSubdomain(name, 'caConfigMap.name');
  checkLabel(namespace, 'caConfigMap.namespace');
  if (!/^[A-Za-z0-9._-]{1,253}$/.test(key)) {
    throw new InvalidPolicyOptionError('caConfigMap.key', `${JSON.stringify(key)} must be a key of a ConfigMap`);
  }
  return [
    { name: CA, configMap: { name, namespace } },
    call(`{{ ${CA}.data.${jmespathIdentifier(key, 'caConfigMap.key')} }}`),
  ];
}

/** Conditions that avoid the call for a Pod that is excluded as a whole. The expressions return only booleans. */
function notSkipped({ pod }: SkippedPods): KyvernoConditions['all'] {
  return pod.map(({ text }) => ({
    key: `{{ ${text} }}`,
    operator: 'Equals',
    value: false,
  }));
}

/** Allows exactly the configured pull secret, and exactly the annotation, with only names and references. */
function additions({ pullSecret, annotate }: ResolvedPodOptions): KyvernoForeach[] {
  const answered = `[${ANSWER_VARIABLE}.pod || \`{}\`]`;
  return [
    ...(pullSecret === undefined
      ? []
      : [
          {
            list: `${answered}[?pullSecret == ${jmespathString(pullSecret, 'pods.pullSecret')}]`,
            patchStrategicMerge: { spec: { imagePullSecrets: [{ name: pullSecret }] } },
          },
        ]),
    ...(annotate
      ? [
          {
            list: `${answered}[?regex_match('${ORIGINAL_IMAGES_PATTERN}', originalImages || '')].{text: originalImages}`,
            patchStrategicMerge: { metadata: { annotations: { [ORIGINAL_IMAGES_KEY]: '{{ element.text }}' } } },
          },
        ]
      : []),
  ];
}

function notOfOperators(operators: readonly OperatorConfig[]): KyvernoConditions['all'] {
  const ofOperator = operatorsInJmespath(operators);
  if (ofOperator === undefined) return [];
  const { owners, labels } = ofOperator;
  return [
    { key: `{{ ${owners} }}`, operator: 'Equals', value: 0 },
    ...(labels === undefined ? [] : [{ key: `{{ ${labels} }}`, operator: 'Equals', value: false } as const]),
  ];
}

/** A condition that avoids the call if every image of `containers` (JMESPath) is already in a target or excluded. */
function imagesOutside(
  containers: string,
  targets: readonly string[],
  { container }: SkippedPods,
): { readonly key: string; readonly operator: 'GreaterThan'; readonly value: number } {
  const skippedContainers = container
    // A filter over containers cannot access the Pod around them.
    .filter(({ predicate }) => fieldsOf(predicate).every(({ of }) => of === 'container'))
    .map(({ text }) => text);
  const settled = [hasTargetPrefix('image', targets), "(imagePullPolicy || '') == 'Never'", ...skippedContainers].join(
    ' || ',
  );
  const outside = `${containers} | [?!image || !(${settled})]`;
  return { key: `{{ length(${outside}) }}`, operator: 'GreaterThan', value: 0 };
}

/** JMESPath over `spec`: the entries of a location in the form of containers, without those that have no image. */
function asContainers({ list, name, image, pullPolicy }: ImagePlace): string {
  if (image.length === 1) return list;
  const fields = `name: ${name}, image: ${image.join('.')}, imagePullPolicy: ${pullPolicy.join('.')}`;
  return `(${list} || \`[]\`)[?${image[0]}].{${fields}}`;
}

/**
 * The answer's allowed patches: those that replace an image in one of the locations with one in a target. `map` comes
 * first, because a filter hides missing patches, and an answer without patches must be an error; `map` also drops every
 * other member of a patch.
 */
function guardedPatches(places: readonly ImagePlace[], targets: readonly string[]): string {
  const paths = places.map(({ list, image }) => `${list}/(0|[1-9][0-9]*)/${image.join('/')}`);
  const path = `^/spec/(${paths.join('|')})$`;
  return (
    `map(&{op: op, path: path, value: value}, ${ANSWER_VARIABLE}.patches) | ` +
    `[?op == 'replace' && regex_match('${path}', path) && ` +
    `regex_match('^[A-Za-z0-9._:/@+-]+$', value) && (${hasTargetPrefix('value', targets)})]`
  );
}

function hasTargetPrefix(value: string, targets: readonly string[]): string {
  return targets
    .map((target, index) => `starts_with(${value}, ${jmespathString(target, `targets[${index}]`)})`)
    .join(' || ');
}
