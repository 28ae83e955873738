{{/* Warnings about the values: a YAML list of sentences. */}}
{{- define "image-swapper.warnings" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- include "image-swapper.registryWarnings" . }}
{{- range $key := list "patch" "dev" "test" "cacheVolume" "podSecurityPolicy" "kubeVersionOverride" }}
{{- if hasKey $.Values $key }}
- {{ printf "%s is obsolete in this chart%s and was ignored; remove it." $key (ternary " (the service creates its own certificate)" "" (eq $key "patch")) | quote }}
{{- end }}
{{- end }}
{{- if and (ne $mode "certManager") (or .Values.certmanager.issuerName (ne .Values.certmanager.issuerKind "Issuer")) }}
- {{ printf "certmanager.issuerName and certmanager.issuerKind have no effect, because tls.mode is %s: set certmanager.enabled=true, or remove them." $mode | quote }}
{{- end }}
{{- if and .Values.secretReader.secretNames (not (dig "secretReader" "enabled" .Values.secretReader.enabled (.Values.config | default dict))) }}
- "secretReader.secretNames: has no effect, because secretReader.enabled is false: set it to true, or remove the names."
{{- end }}
{{- if and .Values.prewarm.schedule (not .Values.prewarm.enabled) }}
- "prewarm.schedule: has no effect, because prewarm.enabled is false: set it to true, or remove the schedule."
{{- end }}
{{- if and (not $facts.webhookValues) (or .Values.webhook.namespaceSelector .Values.webhook.objectSelector) }}
- {{ printf "webhook.namespaceSelector and webhook.objectSelector apply only with policies.engine webhook; with %s use policies.excludedNamespaces or config.source.filters." $engine | quote }}
{{- end }}
{{- if and (hasPrefix "http:" (include "image-swapper.url" .)) (ne $engine "none") (or .Values.hostNetwork (not .Values.networkPolicy.enabled)) }}
- {{ printf "the engine calls the service over plain HTTP, and %s: any client that reaches the service can call it, and an attacker on the network can change its responses." (ternary "with hostNetwork no NetworkPolicy applies" "networkPolicy.enabled is false" .Values.hostNetwork) | quote }}
{{- end }}
{{- if and $facts.trustsItsStoreOnly (hasPrefix "https:" (include "image-swapper.url" .)) (eq $mode "selfSigned") }}
- {{ printf "MutatingPolicy over https uses only Kyverno's own trust store: add the CA certificate from ConfigMap %s to Kyverno's value admissionController.caCertificates.data." (include "image-swapper.caConfigMapName" .) | quote }}
{{- end }}
{{- with include "image-swapper.openRoute" . }}
- {{ . | quote }}
{{- end }}
{{- if $facts.retirement }}
- {{ printf "policies.engine %s: %s. Change to policies.engine=kyverno before you upgrade Kyverno." $engine $facts.retirement | quote }}
{{- end }}
{{- if include "image-swapper.failClosed" . }}
- "Fail closed: while the service is down, no Pod starts in the namespaces that the policies cover."
{{- if and (not .Values.autoscaling.enabled) (lt (int .Values.replicaCount) 2) }}
- "Fail closed with one replica: no other Pod can start while it restarts. Set replicaCount to 2 or more."
{{- end }}
{{- end }}
{{- if include "image-swapper.manage" . }}
- "policies.manage: the service may write policies for the whole cluster, and so could change every Pod."
{{- end }}
{{- if and .Values.secretReader.enabled (not .Values.secretReader.secretNames) }}
- "secretReader: the service may read every Secret in the cluster; secretReader.secretNames limits this."
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.networkPolicy.metricsNamespaces }}
- "networkPolicy.metricsNamespaces: the namespace of Prometheus must be one of them."
{{- end }}
{{- end }}

{{/* A warning while the engine's requests are not authenticated; empty when they are. Reads the environment as well. */}}
{{- define "image-swapper.openRoute" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $config := include "image-swapper.config" . | fromYaml }}
{{- $kyverno := dig "auth" "kyverno" dict $config }}
{{- $variables := list }}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end }}
{{- $remedies := dict
  "secret" "config.auth.kyverno.secretName, and IMAGE_SWAPPER_AUTH_KYVERNO_SECRET in extraEnv"
  "path" "IMAGE_SWAPPER_AUTH_WEBHOOK_PATH in extraEnv"
  "certificate" (printf "config.tls.clients.%s" $facts.route)
  "token" "config.auth.kyverno.token=true" }}
{{- $proven := dict
  "secret" (or $kyverno.secret (has "IMAGE_SWAPPER_AUTH_KYVERNO_SECRET" $variables))
  "path" (or (($config.auth).webhook).path (has "IMAGE_SWAPPER_AUTH_WEBHOOK_PATH" $variables))
  "certificate" (dig "tls" "clients" ($facts.route | default "") "" $config)
  "token" (and $kyverno.token (dig "tokenRequired" true $kyverno)) }}
{{- $open := $facts.proves }}
{{- range $facts.proves }}{{ if get $proven . }}{{ $open = list }}{{ end }}{{ end }}
{{- if and $kyverno.token (has "token" $open) }}
{{- printf "policies.engine %s: requests without Kyverno's token are also answered, but their pull secrets are ignored; set config.auth.kyverno.token=true to refuse them (docs/callers.md)." $engine }}
{{- else if $open }}
{{- $ways := list }}
{{- range $open }}{{ $ways = append $ways (get $remedies .) }}{{ end }}
{{- printf "policies.engine %s: its requests are not authenticated, so any client that reaches the service can make it copy images; set %s (docs/callers.md)." $engine (join ", or " $ways) }}
{{- end }}
{{- end }}
