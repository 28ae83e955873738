{{/* The digits in their original form: Helm parses them as a number, and Go prints large numbers as 1.23e+11. */}}
{{- define "image-swapper.digits" -}}
{{- if kindIs "float64" . }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* Converts `.registry` in place to the form that its kind requires; `.key` is its key, for messages. */}}
{{- define "image-swapper.normalizeRegistry" -}}
{{- $one := .registry }}
{{- $key := .key }}
{{- range $type := include "image-swapper.kindsWith.normalize" . | fromJsonArray }}
{{- if and (kindIs "map" $one) (kindIs "map" (get $one $type)) }}
{{- include (printf "image-swapper.%s.normalize" $type) (dict "registry" (get $one $type) "key" (printf "%s.%s" $key $type)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The service's configuration as YAML: `config`, completed from the chart's other values. */}}
{{- define "image-swapper.config" -}}
{{- $config := deepCopy (.Values.config | default dict) }}
{{- include "image-swapper.normalizeRegistry" (dict "registry" ($config.target | default dict) "key" "config.target") }}
{{- range $index, $target := $config.targets }}
{{- include "image-swapper.normalizeRegistry" (dict "registry" $target "key" (printf "config.targets[%d]" $index)) }}
{{- end }}
{{- range $index, $source := dig "source" "registries" list $config }}
{{- include "image-swapper.normalizeRegistry" (dict "registry" $source "key" (printf "config.source.registries[%d]" $index)) }}
{{- end }}
{{- $name := include "image-swapper.fullname" . }}
{{- $reader := dict "enabled" .Values.secretReader.enabled "secretNames" (.Values.secretReader.secretNames | default list) }}
{{- $_ := set $config "secretReader" (mergeOverwrite $reader ($config.secretReader | default dict)) }}
{{- $_ := set $config "lease" (mergeOverwrite (dict "name" $name) ($config.lease | default dict)) }}
{{- $tls := $config.tls | default dict }}
{{- if hasKey $tls "mode" }}{{ fail "config.tls.mode: leave it out, and set the chart's value tls.mode" }}{{ end }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- if eq $mode "selfSigned" }}
{{- $own := dict "mode" "selfSigned" "secretName" (printf "%s-tls" $name) "configMapName" (printf "%s-ca" $name) "dnsNames" (include "image-swapper.certificateNames" . | fromJsonArray) }}
{{- $_ := set $config "tls" (mergeOverwrite $own $tls) }}
{{- else }}
{{- range $key := keys (omit $tls "clients") | sortAlpha }}{{ fail (printf "config.tls.%s: requires tls.mode selfSigned, but tls.mode is %s: leave it out" $key $mode) }}{{ end }}
{{- if and (eq $mode "disabled") $tls.clients }}{{ fail "config.tls.clients: client certificates require TLS, but tls.mode is disabled: choose another mode, or leave it out" }}{{ end }}
{{- if not $tls }}{{ $_ := unset $config "tls" }}{{ end }}
{{- end }}
{{- if include "image-swapper.takesTokens" . }}
{{- $_ := set $config "auth" (mergeOverwrite ("kyverno: {token: true, tokenRequired: false}" | fromYaml) ($config.auth | default dict)) }}
{{- end }}
{{- $_ := set $config "policies" (include "image-swapper.configPolicies" . | fromYaml) }}
{{- if .Values.queue.existingSecret }}
{{- $_ := set $config "queue" (mergeOverwrite ($config.queue | default dict) (include "image-swapper.queueFiles" . | fromJson)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The folder in which the Secret of the queue server is mounted. */}}
{{- define "image-swapper.queueFolder" -}}
/etc/image-swapper-queue
{{- end }}

{{/* The keys of `config.queue` that name files of queue.existingSecret, as JSON. */}}
{{- define "image-swapper.queueFiles" -}}
{{- $queue := (.Values.config | default dict).queue | default dict }}
{{- if eq ($queue.type | default "memory") "memory" }}
{{- fail (printf "queue.existingSecret is %s, but config.queue.type is memory, which has no server: set config.queue, or leave out queue.existingSecret" .Values.queue.existingSecret) }}
{{- end }}
{{- $files := dict }}
{{- $keys := dict "passwordFile" "passwordKey" "caFile" "caKey" "sentinelPasswordFile" "sentinelPasswordKey" }}
{{- range $name := keys $keys | sortAlpha }}
{{- $key := get $keys $name }}
{{- with get $.Values.queue $key }}
{{- if hasKey $queue $name }}{{ fail (printf "config.queue.%s: leave it out, or queue.%s, which names the same file in Secret %s" $name $key $.Values.queue.existingSecret) }}{{ end }}
{{- $_ := set $files $name (printf "%s/%s" (include "image-swapper.queueFolder" $) .) }}
{{- end }}
{{- end }}
{{- $files | toJson }}
{{- end }}

{{/*
ClusterPolicies send a token by default. The service accepts it unless the values configure how callers authenticate. Callers
without a token are still answered, so that every version of Kyverno works.
*/}}
{{- define "image-swapper.takesTokens" -}}
{{- $kyverno := dig "auth" "kyverno" dict (.Values.config | default dict) | default dict }}
{{- $isWritten := gt (len $kyverno) 0 }}
{{- range .Values.extraEnv }}{{ if hasPrefix "IMAGE_SWAPPER_AUTH_KYVERNO" .name }}{{ $isWritten = true }}{{ end }}{{ end }}
{{- if and (has "token" (include "image-swapper.engineFacts" . | fromJson).proves) (not $isWritten) }}true{{ end }}
{{- end }}

{{/*
The configuration's `policies`, from which `image-swapper policies` in the Pod, or the service with policies.manage, renders
the policies.
*/}}
{{- define "image-swapper.configPolicies" -}}
{{- $own := dict
  "engine" (include "image-swapper.engine" .)
  "manage" (eq (include "image-swapper.manage" .) "true")
  "name" (include "image-swapper.policyName" .)
  "url" (include "image-swapper.url" .)
  "failClosed" (eq (include "image-swapper.failClosed" .) "true")
  "excludedNamespaces" (include "image-swapper.excludedNamespaces" . | fromJsonArray) }}
{{- $undecidable := include "image-swapper.undecidable" . }}
{{- if ne $undecidable "refuse" }}{{ $_ := set $own "undecidable" $undecidable }}{{ end }}
{{- if include "image-swapper.table" . }}{{ $_ := set $own "table" true }}{{ end }}
{{- with include "image-swapper.caFile" . }}{{ $_ := set $own "caFile" . }}{{ end }}
{{- mergeOverwrite (dig "policies" dict (.Values.config | default dict) | default dict | deepCopy) $own | toYaml }}
{{- end }}

{{/* The names for which the certificate is valid: a JSON list. `kubectl port-forward` needs the last two. */}}
{{- define "image-swapper.certificateNames" -}}
{{- $name := include "image-swapper.fullname" . }}
{{- $host := printf "%s.%s" $name .Release.Namespace }}
{{- list (printf "%s.svc" $host) (printf "%s.svc.%s" $host .Values.clusterSuffix) $host $name "localhost" "127.0.0.1" | toJson }}
{{- end }}

{{- define "image-swapper.tlsMode" -}}
{{- if .Values.certmanager.enabled }}certManager{{ else }}{{ .Values.tls.mode }}{{ end }}
{{- end }}

{{- define "image-swapper.tlsSecretName" -}}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- $name := include "image-swapper.fullname" . }}
{{- if eq $mode "existingSecret" }}
{{- required "tls.existingSecret: name a Secret with tls.crt and tls.key, or choose another tls.mode" .Values.tls.existingSecret }}
{{- else if eq $mode "certManager" }}{{ $name }}-cert
{{- else }}{{ dig "tls" "secretName" (printf "%s-tls" $name) (.Values.config | default dict) }}
{{- end }}
{{- end }}

{{/* The name of the ConfigMap from which a ClusterPolicy reads the CA certificates. */}}
{{- define "image-swapper.caConfigMapName" -}}
{{- $own := printf "%s-ca" (include "image-swapper.fullname" .) }}
{{- if eq (include "image-swapper.tlsMode" .) "selfSigned" }}{{ dig "tls" "configMapName" $own (.Values.config | default dict) }}
{{- else }}{{ .Values.tls.caConfigMap.name | default $own }}
{{- end }}
{{- end }}

{{- define "image-swapper.caConfigMapKey" -}}
{{- if eq (include "image-swapper.tlsMode" .) "selfSigned" }}ca.crt{{ else }}{{ .Values.tls.caConfigMap.key }}{{ end }}
{{- end }}

{{/*
With policies.manage and a certificate from elsewhere: the place of the CA certificate that the policies contain, as JSON
{file, configMap}. Without configMap if it is in the certificate's own Secret; empty if the policies contain none.
*/}}
{{- define "image-swapper.managedCa" -}}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- if and (include "image-swapper.manage" .) $facts.carriesAuthority (has $mode (list "certManager" "existingSecret")) (hasPrefix "https:" (include "image-swapper.url" .)) }}
{{- if or .Values.tls.caBundle .Values.tls.caConfigMap.name }}
{{- dict "file" (printf "/etc/image-swapper-ca/%s" (include "image-swapper.caConfigMapKey" .)) "configMap" (include "image-swapper.caConfigMapName" .) | toJson }}
{{- else if or $facts.needsAuthority (include "image-swapper.urlService" . | fromJson).name }}
{{- dict "file" "/etc/image-swapper-tls/ca.crt" | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{- define "image-swapper.caFile" -}}
{{- dig "policies" "caFile" (dig "file" "" (include "image-swapper.managedCa" . | fromJson)) (.Values.config | default dict) }}
{{- end }}

{{/* The Secrets with credentials of registries and of the queue that `config` names: a list of {namespace, name}. */}}
{{- define "image-swapper.namedSecrets" -}}
{{- $config := .Values.config | default dict }}
{{- $found := list }}
{{- range include "image-swapper.askKinds" (dict "root" . "hook" "secrets") | fromJsonArray }}
{{- $found = concat $found (fromJsonArray .) }}
{{- end }}
{{- with dig "queue" "secretName" "" $config }}
{{- $found = append $found (dict "name" . "namespace" $.Release.Namespace) }}
{{- end }}
{{- $found | uniq | toJson }}
{{- end }}

{{- define "image-swapper.startChecksum" -}}
{{- pick (include "image-swapper.config" . | fromYaml) "events" "lease" "policies" "queue" "reconcile" "secretReader" "tls" | toJson | sha256sum }}
{{- end }}
