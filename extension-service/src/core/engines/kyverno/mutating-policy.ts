import { CONFIG_HASH_HEADER, hashAnnotation, hashIn } from '../../policies/config-hash.js';
import { celString, celStringMap } from '../../policies/literals.js';
import type { CelCondition, KyvernoMutatingPolicyObject } from '../../policies/objects.js';
import {
  checkFilters,
  checkTargets,
  namespacesExcept,
  policyMetadata,
  resolvePodOptions,
  resolvePolicyOptions,
} from '../../policies/options.js';
import type { GuardOptions, PolicyOptions, ResolvedPodOptions } from '../../policies/options.js';
import { ORIGINAL_IMAGES_KEY, ORIGINAL_IMAGES_PATTERN } from '../../decide/pod-additions.js';
import { takesUpdates } from '../../decide/image-places.js';
import type { ImagePlace } from '../../decide/image-places.js';
import {
  celHasImage,
  imagesOutside,
  IS_UPDATE,
  OLD_EPHEMERAL_NAMES,
  podConditions,
  POD_RULES,
  hasTargetPrefix,
} from '../../policies/pod-conditions.js';
import { additionsByTable, tableVariables } from '../kyverno-table/decided-by-table.js';
import type { TableDecisions } from '../kyverno-table/decided-by-table.js';
import { routeUrl } from '../../policies/url.js';
import { ROUTES, SECRET_HEADER } from '../routes.js';
import { KYVERNO_DEFAULTS, labelsForKyverno } from './defaults.js';

/**
 * Kyverno's HTTP client in CEL uses Kyverno's own trust store: an `https` address needs a certificate that Kyverno
 * already trusts.
 */
export interface KyvernoMutatingPolicyOptions extends PolicyOptions, GuardOptions {
  /** The Secret whose key `secret` is sent in the header `Image-Swapper-Secret`; Kyverno must be allowed to read it. */
  readonly callerSecret?: { readonly name: string; readonly namespace: string };
  /** Decides Pods whose images are all in the table without a call. */
  readonly table?: TableDecisions;
  /** Of the configuration; default: that of these options. */
  readonly hash?: string;
}

/** The characters of an image reference; an answer with other characters is not applied. */
const REFERENCE_CHARACTERS = '^[A-Za-z0-9._:/@+-]+$';

/**
 * A `MutatingPolicy` (policies.kyverno.io/v1, Kyverno ≥ 1.18) that sends a whole Pod to the service in one call, and
 * replaces the images that the answer names if they are in `targets`.
 */
export function renderKyvernoMutatingPolicy(options: KyvernoMutatingPolicyOptions): KyvernoMutatingPolicyObject {
  const resolved = resolvePolicyOptions(options, KYVERNO_DEFAULTS);
  const targets = checkTargets(options.targets);
  const filters = checkFilters(options.filters);
  const pods = resolvePodOptions(options.pods);
  const { table } = options;
  const hash = hashIn({ ...options, targets });
  const headers = {
    'Content-Type': 'application/json',
    Accept: 'application/json',
    ...(hash !== undefined && { [CONFIG_HASH_HEADER]: hash }),
  };
  const failClosed = resolved.failurePolicy === 'Fail';
  return {
    apiVersion: 'policies.kyverno.io/v1',
    kind: 'MutatingPolicy',
    metadata: policyMetadata(resolved.name, { ...options, labels: labelsForKyverno(options) }, hashAnnotation(hash)),
    spec: {
      failurePolicy: resolved.failurePolicy,
      reinvocationPolicy: 'Never',
      // Also gives the policy its own webhook: in the shared ones it would be evaluated twice.
      webhookConfiguration: { timeoutSeconds: resolved.timeoutSeconds },
      // By default Kyverno's background scan evaluates the policy as a creation of each running Pod, every hour: that would
      // call the service, start copies, and report Pods from before as failures.
      evaluation: {
        admission: { enabled: true },
        background: { enabled: false },
        mutateExisting: { enabled: false },
      },
      // Without this, Kyverno would also run the policy on Deployments and similar objects, whose Pods it cannot
      // patch.
      autogen: { podControllers: { controllers: [] } },
      matchConstraints: { namespaceSelector: namespacesExcept(resolved.excludedNamespaces), resourceRules: POD_RULES },
      matchConditions: [
        ...podConditions(filters, options.directTarget, pods.operators),
        // Any Pod may name a target.
        ...(options.directTarget === 'refuse' ? [] : [imagesOutside(targets, filters, pods)]),
      ],
      variables: [
        ...callerVariable(options.callerSecret),
        {
          name: 'answer',
          // `request` alone does not type-check as a value of a map; `dyn(request)` sends it whole.
          expression:
            `http.Post(${celString(routeUrl(resolved.url, ROUTES.kyverno.path), 'url')}, ` +
            `{"request": dyn(request)}, ${headersOf(headers, options.callerSecret)})`,
        },
        { name: 'images', expression: failClosed ? IMAGES_OR_ERROR : IMAGES_OR_NONE },
        { name: 'oldEphemeralNames', expression: OLD_EPHEMERAL_NAMES },
        ...(table === undefined ? [] : tableVariables(table, { targets, filters, pods, isReference })),
        ...additionVariables(pods, table !== undefined),
      ],
      mutations: [
        {
          patchType: 'JSONPatch',
          jsonPatch: {
            expression: [imagePatches(targets, pods, table !== undefined), ...additions(pods)].join(' +\n'),
          },
        },
      ],
    },
  };
}

type CallerSecret = KyvernoMutatingPolicyOptions['callerSecret'];

/** In base64, as in the Secret: the service accepts that, and no library of Kyverno's is needed. */
function callerVariable(secret: CallerSecret): readonly CelCondition[] {
  if (secret === undefined) return [];
  const names = [secret.namespace, secret.name].map((name) => celString(name, 'auth.kyverno.secretName'));
  return [{ name: 'caller', expression: `string(resource.Get("v1", "secrets", ${names.join(', ')}).data.secret)` }];
}

/** A CEL map of strings; the secret is read at each request and is not part of the policy. */
function headersOf(headers: Readonly<Record<string, string>>, secret: CallerSecret): string {
  const map = celStringMap(headers);
  return secret === undefined ? map : `${map.slice(0, -1)}, ${celString(SECRET_HEADER, 'header')}: variables.caller}`;
}

const IMAGES = [
  // Anything but a JSON object arrives without `images`, whatever its status.
  'variables.answer.statusCode == 200 && has(variables.answer.images) && type(variables.answer.images) == map',
  '  ? variables.answer.images',
].join('\n');
/** No patches if the service's answer is not in the expected form. */
const IMAGES_OR_NONE = `${IMAGES}\n  : dyn({})`;
/** CEL cannot raise an error with a message; looking up a missing key shows the key. */
const IMAGES_OR_ERROR = `${IMAGES}
  : dyn({})["image-swapper: no usable answer, HTTP status " + string(variables.answer.statusCode)]`;

/**
 * Patches for the images of this Pod, found by location and name in the answer. The filter protects the Pod: an image
 * outside the targets, a container that the Pod does not have, or any other field in the answer has no effect.
 */
function imagePatches(targets: readonly string[], { places }: ResolvedPodOptions, hasTable: boolean): string {
  const answers = places.map((place) => `  ${answersFor(place)}`).join(' +\n');
  return [
    '(',
    // The variable `images` makes the call.
    hasTable
      ? `  variables.asks ? (\n${answers}) :\n  variables.swaps.map(c, {"path": c.path, "value": c.value})`
      : answers,
    ').filter(patch,',
    `  (${hasTargetPrefix('patch.value', targets)})`,
    `    && ${isReference('patch.value')}`,
    ').map(patch, JSONPatch{op: "replace", path: patch.path, value: patch.value})',
  ].join('\n');
}

function isReference(text: string): string {
  return `${text}.matches(${celString(REFERENCE_CHARACTERS, 'targets')})`;
}

/** The answer's additions to the Pod, if the configuration has any. */
function additionVariables(pods: ResolvedPodOptions, hasTable: boolean): readonly CelCondition[] {
  if (pods.pullSecret === undefined && !pods.annotate) return [];
  const byTable = hasTable ? [`!variables.asks ? (${additionsByTable(pods)}) :`] : [];
  return [
    {
      name: 'additions',
      expression: [
        ...byTable,
        'variables.answer.statusCode == 200 && has(variables.answer.pod) && type(variables.answer.pod) == map',
        '  ? variables.answer.pod : dyn({})',
      ].join('\n'),
    },
  ];
}

/**
 * Lists of further patches: exactly the configured pull secret, and exactly the annotation, with only names and
 * references.
 */
function additions({ pullSecret, annotate }: ResolvedPodOptions): readonly string[] {
  const lists: string[] = [];
  if (pullSecret !== undefined) {
    const name = celString(pullSecret, 'pods.pullSecret');
    const secrets = 'object.spec.imagePullSecrets';
    lists.push(
      [
        `(!(${IS_UPDATE}) && string(variables.additions[?"pullSecret"].orValue("")) == ${name}`,
        `    && !(has(${secrets}) && ${secrets}.exists(s, has(s.name) && s.name == ${name}))`,
        `  ? [has(${secrets})`,
        `      ? JSONPatch{op: "add", path: "/spec/imagePullSecrets/-", value: {"name": ${name}}}`,
        `      : JSONPatch{op: "add", path: "/spec/imagePullSecrets", value: [{"name": ${name}}]}]`,
        '  : [])',
      ].join('\n'),
    );
  }
  if (annotate) {
    const text = 'string(variables.additions[?"originalImages"].orValue(""))';
    const key = celString(ORIGINAL_IMAGES_KEY, 'annotation');
    const path = celString(`/metadata/annotations/${ORIGINAL_IMAGES_KEY.replace('/', '~1')}`, 'annotation');
    lists.push(
      [
        `(!(${IS_UPDATE}) && ${text}.matches(${celString(ORIGINAL_IMAGES_PATTERN, 'annotation')})`,
        '  ? [has(object.metadata.annotations)',
        `      ? JSONPatch{op: "add", path: ${path}, value: ${text}}`,
        `      : JSONPatch{op: "add", path: "/metadata/annotations", value: {${key}: ${text}}}]`,
        '  : [])',
      ].join('\n'),
    );
  }
  return lists;
}

/** CEL: the paths of a location's images in the answer, and the images; empty if there are none. */
function answersFor(place: ImagePlace): string {
  const { key, list, name, image } = place;
  const entries = `object.spec.${list}`;
  const mayChange = takesUpdates(place)
    ? `!(entry.${name} in variables.oldEphemeralNames) && ${celHasImage(place, 'entry')}`
    : celHasImage(place, 'entry');
  return [
    `(${takesUpdates(place) ? '' : `!(${IS_UPDATE}) && `}has(${entries}) ? ${entries} : [])`,
    `    .transformList(index, entry, ${mayChange}, {`,
    `      "path": "/spec/${list}/" + string(index) + "/${image.join('/')}",`,
    `      "value": string(variables.images[?"${key}"][?entry.${name}].orValue(""))})`,
  ].join('\n');
}
