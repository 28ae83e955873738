{{/* Engine, manage and failClosed: the chart's `policies`, or `config.policies` where that says something. */}}
{{- define "image-swapper.engine" -}}
{{- dig "policies" "engine" .Values.policies.engine (.Values.config | default dict) }}
{{- end }}

{{- define "image-swapper.manage" -}}
{{- if dig "policies" "manage" .Values.policies.manage (.Values.config | default dict) }}true{{ end }}
{{- end }}

{{- define "image-swapper.failClosed" -}}
{{- if or (dig "policies" "failClosed" .Values.policies.failClosed (.Values.config | default dict)) (eq .Values.webhook.failurePolicy "Fail") }}true{{ end }}
{{- end }}

{{- define "image-swapper.policyName" -}}
{{- dig "policies" "name" "image-swapper" (.Values.config | default dict) }}
{{- end }}

{{/* The engine whose policies the chart renders; nothing when the service or the user does. */}}
{{- define "image-swapper.renderedEngine" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- if not (or (include "image-swapper.manage" .) (eq $engine "none")) }}{{ $engine }}{{ end }}
{{- end }}

{{- define "image-swapper.url" -}}
{{- $host := printf "%s.%s.svc" (include "image-swapper.fullname" .) .Release.Namespace }}
{{- $given := dig "policies" "url" .Values.policies.url (.Values.config | default dict) }}
{{- if $given }}{{ trimSuffix "/" $given }}
{{- else if or (eq (include "image-swapper.engine" .) "kyverno") (eq (include "image-swapper.tlsMode" .) "disabled") }}http://{{ $host }}:{{ .Values.service.httpPort }}
{{- else }}https://{{ $host }}:{{ .Values.service.port }}
{{- end }}
{{- end }}

{{/* The Service that the URL names, as JSON {name, namespace, port, path}; {} for any other host. */}}
{{- define "image-swapper.urlService" -}}
{{- $url := include "image-swapper.url" . }}
{{- $pattern := "^https?://([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\\.svc(?:\\.[a-z0-9.-]+)?(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~-]+)*)$" }}
{{- if regexMatch $pattern $url }}
{{- $port := regexReplaceAll $pattern $url "${3}" | default (ternary "443" "80" (hasPrefix "https:" $url)) | int }}
{{- dict "name" (regexReplaceAll $pattern $url "${1}") "namespace" (regexReplaceAll $pattern $url "${2}") "port" $port "path" (regexReplaceAll $pattern $url "${4}") | toJson }}
{{- else }}{}
{{- end }}
{{- end }}

{{- define "image-swapper.timeout" -}}
{{- .Values.policies.timeoutSeconds | default .Values.webhook.timeoutSeconds | default (ternary 1 10 (eq (include "image-swapper.engine" .) "gatekeeper")) }}
{{- end }}

{{/* The namespaces that are left alone besides the renderers' own: a JSON list. */}}
{{- define "image-swapper.excludedNamespaces" -}}
{{- $service := include "image-swapper.urlService" . | fromJson }}
{{- prepend (.Values.policies.excludedNamespaces | default list) .Release.Namespace | concat (list $service.namespace | compact) | uniq | toJson }}
{{- end }}

{{/* PEM text that the service published in its ConfigMap, on an upgrade; '' before. */}}
{{- define "image-swapper.publishedCa" -}}
{{- if eq (include "image-swapper.tlsMode" .) "selfSigned" }}
{{- $map := lookup "v1" "ConfigMap" .Release.Namespace (include "image-swapper.caConfigMapName" .) }}
{{- dig "data" "ca.crt" "" ($map | default dict) }}
{{- end }}
{{- end }}

{{/*
Base64; '' where the service or cert-manager puts it in: what no release has ever said, an upgrade and a rollback leave as
it is.
*/}}
{{- define "image-swapper.caBundle" -}}
{{- .Values.tls.caBundle | b64enc }}
{{- end }}

{{/*
Gatekeeper refuses a Provider without an authority, and before the first start there is none. So the first one is a
certificate whose key was thrown away: nothing is trusted until the service puts its own in. Upgrades say what it put in.
*/}}
{{- define "image-swapper.providerCaBundle" -}}
{{- .Values.tls.caBundle | default (include "image-swapper.publishedCa" .) | default (.Files.Get "files/no-authority.pem") | b64enc }}
{{- end }}

{{- define "image-swapper.webhookAnnotations" -}}
{{- $annotations := deepCopy (.Values.policies.annotations | default dict) }}
{{- if and (eq (include "image-swapper.tlsMode" .) "certManager") (not .Values.tls.caBundle) }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "image-swapper.tlsSecretName" .)) }}
{{- end }}
{{- with $annotations }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Stops with what to do, for what an engine cannot do and for an engine that is not there. */}}
{{- define "image-swapper.checkEngine" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- $isHttps := hasPrefix "https:" (include "image-swapper.url" .) }}
{{- if has $engine (list "gatekeeper" "webhook") }}
{{- if eq $mode "disabled" }}{{ fail (printf "tls.mode: disabled is for Kyverno; %s calls https only: choose selfSigned" $engine) }}{{ end }}
{{- if not $isHttps }}{{ fail (printf "policies.url: %s calls https only" $engine) }}{{ end }}
{{- end }}
{{- $ownSecret := has $mode (list "certManager" "existingSecret") }}
{{- if and $ownSecret (not .Values.tls.caBundle) }}
{{- if eq $engine "gatekeeper" }}
{{- fail (printf "tls.caBundle: with tls.mode %s, give the authority's certificate (PEM) for the Provider, or choose tls.mode selfSigned: --set-file tls.caBundle=ca.crt" $mode) }}
{{- else if and (eq $engine "kyverno-clusterpolicy") $isHttps (not .Values.tls.caConfigMap.name) }}
{{- fail (printf "tls.caBundle: with tls.mode %s, give the authority's certificate (PEM) for the ClusterPolicy, or tls.caConfigMap.name, or choose tls.mode selfSigned: --set-file tls.caBundle=ca.crt" $mode) }}
{{- else if and (eq $engine "webhook") (eq $mode "existingSecret") (include "image-swapper.urlService" . | fromJson).name }}
{{- fail "tls.caBundle: with tls.mode existingSecret, give the authority's certificate (PEM) for the webhook, or choose tls.mode selfSigned: --set-file tls.caBundle=ca.crt" }}
{{- end }}
{{- end }}
{{- include "image-swapper.requireApi" . }}
{{- end }}

{{/* An engine that is not installed; `helm template` has no cluster to ask. */}}
{{- define "image-swapper.requireApi" -}}
{{- $needed := dict
  "kyverno" (list "policies.kyverno.io/v1/MutatingPolicy" "Kyverno 1.18 or newer (helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace), or, with an older one, --set policies.engine=kyverno-clusterpolicy")
  "kyverno-clusterpolicy" (list "kyverno.io/v1/ClusterPolicy" "Kyverno (helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace)")
  "gatekeeper" (list "externaldata.gatekeeper.sh/v1beta1/Provider" "Gatekeeper 3.23 or newer (helm repo add gatekeeper https://open-policy-agent.github.io/gatekeeper/charts && helm install gatekeeper gatekeeper/gatekeeper -n gatekeeper-system --create-namespace)") }}
{{- $engine := include "image-swapper.engine" . }}
{{- $connected := lookup "v1" "Namespace" "" "kube-system" }}
{{- if and $connected (hasKey $needed $engine) }}
{{- $api := first (get $needed $engine) }}
{{- if not (.Capabilities.APIVersions.Has $api) }}
{{- fail (printf "policies.engine: this cluster has no %s. Install %s; or choose another engine: --set policies.engine=webhook needs none." $api (last (get $needed $engine))) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the plain HTTP port is open. */}}
{{- define "image-swapper.plainHttp" -}}
{{- $given := .Values.plainHttp.enabled | toString }}
{{- if eq (include "image-swapper.tlsMode" .) "disabled" }}true
{{- else if eq $given "true" }}true
{{- else if and (eq $given "auto") (ne (include "image-swapper.engine" .) "none") (hasPrefix "http:" (include "image-swapper.url" .)) }}true
{{- end }}
{{- end }}
