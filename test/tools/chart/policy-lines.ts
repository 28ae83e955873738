/**
 * Inserts the Helm actions that take whole lines into the YAML of one policy. Each edit must match. A change of a
 * renderer that the chart does not support thus fails here, not in a cluster.
 *
 * @throws Error when an edit does not match, or when a placeholder remains
 */
export function lineEdits(kind: string, yaml: string): string {
  let text = [...COMMON, ...(EDITS[kind] ?? [])].reduce((before, [what, find, action]) => {
    const after = before.replaceAll(find, action);
    if (after === before) throw new Error(`${kind}: the chart's template has no place for ${what}`);
    return after;
  }, yaml);
  text = `---\n${text}`;
  // The API server refuses updates that change an ephemeral container, so this policy is opt-in.
  if (/^ {2}name: zz-\{\{ \$policyName \}\}-ephemeralcontainers$/m.test(text))
    text = `{{- if .Values.policies.ephemeralContainers }}\n${text}{{- end }}\n`;
  // A Gatekeeper request does not show whether an image belongs to a volume, so only this Assign covers volumes.
  if (/^ {2}name: zz-\{\{ \$policyName \}\}-volumes$/m.test(text))
    text = `{{- if ne (dig "source" "volumes" true (.Values.config | default dict) | toString) "false" }}\n${text}{{- end }}\n`;
  const left = /zz(?!-\{\{)\w+/.exec(text)?.[0];
  if (left !== undefined) throw new Error(`${kind}: ${left} is left in the chart's template`);
  return text;
}

type Edit = readonly [what: string, find: RegExp, action: string];

const COMMON: readonly Edit[] = [
  ['the name', /zzname\b/gm, '{{ $policyName }}'],
  ['labels', /^ +zzlabels: ""$/gm, '    {{- include "image-swapper.policyLabels" . | nindent 4 }}'],
];

const ANNOTATIONS: Edit = [
  'annotations',
  /^ +annotations:\n +zzannotations: ""$/gm,
  [
    '  {{- with .Values.policies.annotations }}',
    '  annotations:',
    '    {{- toYaml . | nindent 4 }}',
    '  {{- end }}',
  ].join('\n'),
];

const NAMESPACES: Edit = [
  'namespaces',
  /^( +)- zznamespace\n +- zzmore$/gm,
  ['$1{{- range $namespaces }}', '$1- {{ . | quote }}', '$1{{- end }}'].join('\n'),
];

const EDITS: Readonly<Record<string, readonly Edit[]>> = {
  MutatingPolicy: [ANNOTATIONS, NAMESPACES],
  ClusterPolicy: [
    [
      'annotations',
      /^ +zzannotations: ""$/gm,
      ['    {{- with .Values.policies.annotations }}', '    {{- toYaml . | nindent 4 }}', '    {{- end }}'].join('\n'),
    ],
    NAMESPACES,
    [
      'the ConfigMap of the CA certificate',
      /^( +)- name: swapperCa\n +configMap:\n +name: zzcaname\n +namespace: zznamespace$/gm,
      [
        '$1{{- if hasPrefix "https:" $url }}',
        '$1- name: swapperCa',
        '$1  configMap:',
        '$1    name: {{ include "image-swapper.caConfigMapName" . }}',
        '$1    namespace: {{ .Release.Namespace | quote }}',
        '$1{{- end }}',
      ].join('\n'),
    ],
    [
      'the CA certificate',
      /^( +)caBundle: \|-\n( +)(.*)"zzcakey"(.*)$/gm,
      [
        '$1{{- if hasPrefix "https:" $url }}',
        '$1caBundle: |-',
        '$2$3"{{ include "image-swapper.caConfigMapKey" . }}"$4',
        '$1{{- end }}',
      ].join('\n'),
    ],
  ],
  Provider: [
    ANNOTATIONS,
    ['the CA certificate', /^( +)caBundle: \S+$/gm, '$1caBundle: {{ include "image-swapper.providerCaBundle" . }}'],
  ],
  Assign: [
    ANNOTATIONS,
    NAMESPACES,
    [
      'the labels of operators',
      /^( +)- key: zzlabel\n +operator: NotIn\n +values:\n +- zzvalue$/gm,
      [
        '$1{{- range $operators }}',
        '$1{{- with .label }}',
        '$1{{- $label := splitn "=" 2 . }}',
        '$1- key: {{ $label._0 | quote }}',
        '$1  {{- if contains "=" . }}',
        '$1  operator: NotIn',
        '$1  values:',
        '$1    - {{ $label._1 | quote }}',
        '$1  {{- else }}',
        '$1  operator: DoesNotExist',
        '$1  {{- end }}',
        '$1{{- end }}',
        '$1{{- end }}',
      ].join('\n'),
    ],
  ],
  MutatingWebhookConfiguration: [
    [
      'annotations',
      /^ +annotations:\n +zzannotations: ""$/gm,
      [
        '  {{- with include "image-swapper.webhookAnnotations" . }}',
        '  annotations:',
        '    {{- . | nindent 4 }}',
        '  {{- end }}',
      ].join('\n'),
    ],
    [
      'the address',
      /^( +)service:\n +name: zzservice\n +namespace: zznamespace\n +port: 19999\n +path: (\S+)$/gm,
      [
        '$1{{- $service := include "image-swapper.urlService" . | fromJson }}',
        '$1{{- if $service.name }}',
        '$1service:',
        '$1  name: {{ $service.name }}',
        '$1  namespace: {{ $service.namespace | quote }}',
        '$1  port: {{ $service.port }}',
        '$1  path: {{ $service.path }}$2',
        '$1{{- else }}',
        '$1url: {{ $url }}$2',
        '$1{{- end }}',
      ].join('\n'),
    ],
    [
      'the CA certificate',
      /^( +)caBundle: \S+$/gm,
      ['$1{{- with include "image-swapper.caBundle" . }}', '$1caBundle: {{ . }}', '$1{{- end }}'].join('\n'),
    ],
    [
      'the selectors of namespaces and Pods',
      /^( +)namespaceSelector:\n( +)matchExpressions:\n((?: +.*\n)*?) +- zznamespace\n +- zzmore$/gm,
      [
        '$1{{- with .Values.webhook.objectSelector }}',
        '$1objectSelector:',
        '$1  {{- toYaml . | nindent 6 }}',
        '$1{{- end }}',
        '$1namespaceSelector:',
        '$2{{- with (.Values.webhook.namespaceSelector | default dict).matchLabels }}',
        '$2matchLabels:',
        '$2  {{- toYaml . | nindent 8 }}',
        '$2{{- end }}',
        '$2matchExpressions:',
        '$3            {{- range $namespaces }}',
        '            - {{ . | quote }}',
        '            {{- end }}',
        '        {{- with (.Values.webhook.namespaceSelector | default dict).matchExpressions }}',
        '        {{- toYaml . | nindent 8 }}',
        '        {{- end }}',
      ].join('\n'),
    ],
  ],
};
