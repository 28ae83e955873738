import type { Engine, ManagedKind } from '../../../extension-service/src/core/engines/engine.js';
import { ENGINES } from '../../../extension-service/src/core/engines/engines.js';
import { ENGINE_NAMES } from '../../../extension-service/src/core/engines/names.js';

/** Placeholder for `policies.name` in the names of objects. */
const NAME = 'zzname';

/**
 * Renders `templates/_engines.tpl`: data about the engines for the chart's templates. Helm treats absent keys as false,
 * so `engineFacts` of `none` is empty.
 */
export function enginesTemplate(): string {
  const engines = ENGINE_NAMES.flatMap((name) => {
    const { withWebhook, withTable } = ENGINES[name];
    return [
      ENGINES[name],
      ...(withWebhook === undefined ? [] : [{ ...withWebhook, name: `${name}/webhook` }]),
      ...(withTable === undefined ? [] : [{ ...withTable, name: `${name}/table` }]),
    ];
  }).map((engine) => JSON.stringify(factsOf(engine), undefined, 2));
  return [
    '{{- /* Written by "npm run generate" from extension-service/src/core/engines; do not edit. */ -}}',
    '{{/* The engines and what each supports: a JSON list. */}}',
    '{{- define "image-swapper.engines" -}}',
    '{{- $name := include "image-swapper.policyName" . -}}',
    `[${engines.join(', ')}]`.replaceAll(NAME, '{{ $name }}'),
    '{{- end }}',
    '',
    '{{/*',
    'The same of the engine in use, as JSON; {} for none. With policies.undecidable webhook, the engine that also calls the',
    'service has this name and "/webhook"; with policies.table, the engine that reads a table has this name and "/table".',
    '*/}}',
    '{{- define "image-swapper.engineFacts" -}}',
    '{{- $engine := include "image-swapper.engine" . }}',
    '{{- $facts := dict }}',
    '{{- $called := printf "%s/%s" $engine (ternary "table" (include "image-swapper.undecidable" .) (eq (include "image-swapper.table" .) "true")) }}',
    '{{- range include "image-swapper.engines" . | fromJsonArray }}{{ if or (eq .name $called) (and (eq .name $engine) (not $facts)) }}{{ $facts = . }}{{ end }}{{ end }}',
    '{{- $facts | toJson }}',
    '{{- end }}',
    '',
  ].join('\n');
}

type NamedEngine = Omit<Engine, 'name'> & { readonly name: string };

function factsOf({ name, title, namespaces, transport, decides, kinds, chart, retirement }: NamedEngine): object {
  const { ca: authority, plainHttp, timeoutSeconds } = transport ?? {};
  return {
    name,
    title,
    namespaces,
    calls: transport !== undefined,
    route: transport?.route,
    proves: transport?.credentials ?? [],
    calledByApiServer: transport?.caller === 'api-server',
    plainHttp: plainHttp === 'default',
    httpsOnly: plainHttp === 'refused',
    usualTimeout: timeoutSeconds?.default,
    maxTimeout: timeoutSeconds?.why === undefined ? undefined : timeoutSeconds.max,
    whyMaxTimeout: timeoutSeconds?.why,
    imagesOnly: decides.sees === 'images',
    startsCopies: decides.startsCopies,
    carriesAuthority: authority?.place === 'policy',
    trustsItsStoreOnly: authority?.place === 'trust-store',
    needsAuthority: authority?.required,
    readsConfigMap: authority?.configMap,
    authorityIsInjected: authority?.injected,
    authorityCarrier: authority?.carrier,
    api: chart.api?.name,
    install: chart.api?.install,
    requires: chart.requires,
    retirement: retirement?.summary,
    managedOnly: chart.managedOnly,
    webhookValues: chart.webhookValues,
    kinds: kinds.map(kindOf),
  };
}

function kindOf({ apiVersion, kind, plural, names, caHolder: authority }: ManagedKind): object {
  return {
    group: apiVersion.split('/')[0],
    apiVersion,
    kind,
    resource: plural,
    names: names(NAME),
    authority: authority !== undefined,
  };
}
