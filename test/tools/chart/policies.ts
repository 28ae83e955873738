import { DEFAULT_OPERATORS } from '../../../extension-service/src/core/decide/operators.js';
import type { Engine } from '../../../extension-service/src/core/engines/engine.js';
import { ENGINES } from '../../../extension-service/src/core/engines/engines.js';
import { ENGINE_NAMES } from '../../../extension-service/src/core/engines/names.js';
import type { EngineName } from '../../../extension-service/src/core/engines/names.js';
import type { PolicyObject } from '../../../extension-service/src/core/policies/objects.js';
import { lineEdits } from './policy-lines.js';
import { mapStrings, merged, overlay, Placeholders } from './template-text.js';

/** Placeholders for the chart's values, passed to the renderers. Each is valid and unique. */
const FIRST = 'zzfirst.example/zz/';
const SECOND = 'zzsecond.example/zz/';
const URL = 'https://zzservice.zznamespace.svc:19999';
/** Placeholder for the CA certificate. */
const AUTHORITY = '-----BEGIN CERTIFICATE-----\nenphdXRob3JpdHl6eg==\n-----END CERTIFICATE-----\n';

interface Variant {
  readonly failClosed: boolean;
  readonly timeoutSeconds: number;
  readonly reinvocationPolicy: 'IfNeeded' | 'Never';
}

const common = {
  name: 'zzname',
  excludedNamespaces: ['zzmore'],
  labels: { zzlabels: '' },
  annotations: { zzannotations: '' },
};
const targets = [FIRST, SECOND];
/** Placeholder for the operators in the policies of an engine that does not show the service the Pod. */
const operators = [{ apiGroup: 'zz', kind: 'zz', label: 'zzlabel=zzvalue' }];
const caConfigMap = { name: 'zzcaname', namespace: 'zznamespace', key: 'zzcakey' };

function renderVariant({ decides, transport, ownOptions, render }: Engine, variant: Variant): readonly PolicyObject[] {
  const { ca: authority } = transport ?? {};
  const { reinvocationPolicy, ...policy } = variant;
  return render({
    ...{ ...common, ...policy, targets },
    ...(decides.sees === 'images' && { pods: { operators } }),
    call: {
      url: URL,
      ...(authority?.configMap === true && { caConfigMap }),
      ...(authority?.configMap === false && { caBundle: AUTHORITY }),
    },
    own: {
      ...(ownOptions.includes('ephemeralContainers') && { ephemeralContainers: true }),
      ...(ownOptions.includes('reinvocationPolicy') && { reinvocationPolicy }),
    },
  });
}

/**
 * The files of the chart's `templates/policies` by name: the output of the renderers with Helm actions in place of
 * values. The files do not contain filters: Helm cannot translate JMESPath, so the service evaluates all of them.
 *
 * @throws Error when the output of a renderer does not have a place for an action
 */
export function policyTemplates(): ReadonlyMap<string, string> {
  return new Map(
    ENGINE_NAMES.filter((name) => ENGINES[name].chart.managedOnly === undefined).map((name) => [
      `${name}.yaml`,
      templateOf(name, (variant) => renderVariant(ENGINES[name], variant)),
    ]),
  );
}

const LABELED = DEFAULT_OPERATORS.flatMap(({ label }) => (label === undefined ? [] : [{ label }]));
const OPERATORS = `{{- $operators := dig "source" "operators" (fromJsonArray \`${JSON.stringify(LABELED)}\`) (.Values.config | default dict) }}`;

function templateOf(engine: EngineName, render: (variant: Variant) => readonly PolicyObject[]): string {
  const helm = new Placeholders();
  const base: Variant = { failClosed: false, timeoutSeconds: 2, reinvocationPolicy: 'IfNeeded' };
  const plain = render(base);
  const choices = [
    merged(plain, render({ ...base, failClosed: true }), (open, closed) =>
      helm.of(
        open === ''
          ? `{{ if $failClosed }}${closed}{{ end }}`
          : `{{ if $failClosed }}${closed}{{ else }}${open}{{ end }}`,
      ),
    ),
    merged(plain, render({ ...base, timeoutSeconds: 3 }), () => helm.of('{{ $timeout }}')),
    merged(plain, render({ ...base, reinvocationPolicy: 'Never' }), () =>
      helm.of('{{ .Values.webhook.reinvocationPolicy }}'),
    ),
  ];
  const objects = choices.reduce((before, choice) => overlay(plain, before, choice), plain);
  const always = new Set(
    JSON.stringify(plain).match(/"(?:kube-\w+(?:-\w+)?|kyverno|gatekeeper-system|image-swapper)"/g),
  );
  const documents = objects.map((object) => {
    const yaml = helm.toTemplate(mapStrings(object, (text) => withActions(text, helm)));
    return lineEdits(object.kind, yaml);
  });
  return [
    '{{- /* Written by "npm run generate" from extension-service/src/core/policies; do not edit. */ -}}',
    `{{- define "image-swapper.policies.${engine}" }}`,
    '{{- $targets := include "image-swapper.targets" . | fromJsonArray }}',
    '{{- $url := include "image-swapper.url" . }}',
    '{{- $failClosed := include "image-swapper.failClosed" . }}',
    '{{- $policyName := include "image-swapper.policyName" . }}',
    '{{- $timeout := include "image-swapper.timeout" . }}',
    `{{- $namespaces := without (include "image-swapper.excludedNamespaces" . | fromJsonArray) ${[...always].join(' ')} }}`,
    ...(ENGINES[engine].decides.sees === 'images' ? [OPERATORS] : []),
    ...documents.map((yaml) => yaml.trimEnd()),
    '{{- end }}',
    '{{- include "image-swapper.sections" . }}',
    `{{- if eq (include "image-swapper.renderedEngine" .) "${engine}" }}`,
    '{{- include "image-swapper.checkEngine" . }}',
    `{{- include "image-swapper.policies.${engine}" . }}`,
    '{{- end }}',
    '',
  ].join('\n');
}

const TARGETS_IN_CEL = new RegExp(
  `(\\S[^\\n]*?)\\.startsWith\\("${FIRST}"\\) \\|\\| \\1\\.startsWith\\("${SECOND}"\\)`,
  'g',
);
const TARGETS_IN_JMESPATH = new RegExp(
  `starts_with\\(([^,]+), '${FIRST}'\\) \\|\\| starts_with\\(\\1, '${SECOND}'\\)`,
  'g',
);

/**
 * Inserts Helm actions into one string. Targets need no escapes in CEL and JMESPath because the chart checks their
 * characters.
 */
function withActions(text: string, helm: Placeholders): string {
  const each = (one: string): string =>
    helm.of(`{{ range $index, $target := $targets }}{{ if $index }} || {{ end }}${one}{{ end }}`);
  return text
    .replaceAll(TARGETS_IN_CEL, (_all, value: string) => each(`${value}.startsWith("{{ $target }}")`))
    .replaceAll(TARGETS_IN_JMESPATH, (_all, value: string) => each(`starts_with(${value}, '{{ $target }}')`))
    .replaceAll(URL, helm.of('{{ $url }}'));
}
