{{- define "image-swapper.subjects" -}}
- kind: ServiceAccount
  name: {{ include "image-swapper.serviceAccountName" . }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* The namespace of the Lease that the replicas share; empty if they need none. */}}
{{- define "image-swapper.leaseNamespace" -}}
{{- $config := include "image-swapper.config" . | fromYaml }}
{{- $selfSigned := eq (include "image-swapper.tlsMode" .) "selfSigned" }}
{{- if or (dig "reconcile" "enabled" true $config) (include "image-swapper.manage" .) $selfSigned }}
{{- $config.lease.namespace | default .Release.Namespace }}
{{- end }}
{{- end }}

{{/* Cluster-wide permissions of the service, by feature. */}}
{{- define "image-swapper.clusterRules" -}}
{{- $config := include "image-swapper.config" . | fromYaml }}
{{- $reconcile := dig "reconcile" "enabled" true $config }}
{{- if dig "auth" "kyverno" "token" false $config }}
# auth.kyverno.token: to find out to whom a caller's token belongs.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}
{{- if or $reconcile .Values.prewarm.enabled }}
{{- $verbs := ternary (list "get" "list" "watch") (list "get" "list") $reconcile | toJson }}
# reconcile, prewarm: to find the images of the cluster's Pods and workloads, which must be mirrored.
- apiGroups: [""]
  resources: [pods]
  verbs: {{ $verbs }}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  verbs: {{ $verbs }}
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: {{ $verbs }}
{{- end }}
{{- if dig "events" "enabled" true $config }}
# events: to report the results of copies on the workloads that use the images.
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- if $config.secretReader.enabled }}
# secretReader: to copy from private registries with the Pods' own pull secrets.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get{{ if not $config.secretReader.secretNames }}, list, watch{{ end }}]
- apiGroups: [""]
  resources: [secrets]
  {{- with $config.secretReader.secretNames }}
  resourceNames: {{ toJson . }}
  verbs: [get]
  {{- else }}
  verbs: [get, list, watch]
  {{- end }}
{{- end }}
{{- if and (eq (include "image-swapper.tlsMode" .) "selfSigned") (not (include "image-swapper.manage" .)) }}
{{- range include "image-swapper.policyKinds" . | fromYamlArray }}
{{- if and .current .authority }}
# tls: to write the CA certificate of the serving certificate into the one object that must trust it.
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [get, patch]
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
policies.manage: permissions for the policies of the current engine, by their names. The service uses server-side apply, for
which RBAC can limit `create` to a name. On an upgrade, `lookup` finds objects of an earlier engine: the service may delete
these, and the next upgrade removes that permission.
*/}}
{{- define "image-swapper.policyRules" -}}
{{- range include "image-swapper.policyKinds" . | fromYamlArray }}
{{- if .current }}
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [get, create, patch, update, delete]
{{- else if $.Capabilities.APIVersions.Has (printf "%s/%s" .apiVersion .kind) }}
{{- $kind := . }}
{{- $left := list }}
{{- range .names }}
{{- $live := lookup $kind.apiVersion $kind.kind "" . | default dict }}
{{- if eq (dig "metadata" "labels" "app.kubernetes.io/managed-by" "" $live) "image-swapper" }}{{ $left = append $left . }}{{ end }}
{{- end }}
{{- with $left }}
- apiGroups: [{{ $kind.group }}]
  resources: [{{ $kind.resource }}]
  resourceNames: {{ toJson . }}
  verbs: [get, delete]
{{- end }}
{{- end }}
{{- end }}
{{- if and (not (include "image-swapper.table" .)) (.Capabilities.APIVersions.Has "kyverno.io/v2/GlobalContextEntry") }}
{{- $name := include "image-swapper.policyName" . }}
{{- $live := lookup "kyverno.io/v2" "GlobalContextEntry" "" $name | default dict }}
{{- if eq (dig "metadata" "labels" "app.kubernetes.io/managed-by" "" $live) "image-swapper" }}
- apiGroups: [kyverno.io]
  resources: [globalcontextentries]
  resourceNames: [{{ $name }}]
  verbs: [get, delete]
{{- end }}
{{- end }}
{{- end }}

{{/*
The kinds of policy objects, each with the names that the service gives them, whether the current engine uses the kind, and
whether the objects contain the CA certificate of the service. Filters can require up to 8 of Gatekeeper's mutators for each
list of containers.
*/}}
{{- define "image-swapper.policyKinds" -}}
{{- $current := list }}
{{- range (include "image-swapper.engineFacts" . | fromJson).kinds }}{{ $current = append $current .kind }}{{ end }}
{{- $kinds := list }}
{{- range $facts := include "image-swapper.engines" . | fromJsonArray }}
{{- if not (contains "/" $facts.name) }}
{{- range $facts.kinds }}{{ $kinds = append $kinds (set . "current" (has .kind $current)) }}{{ end }}
{{- end }}
{{- end }}
{{- range (include "image-swapper.engineFacts" . | fromJson).kinds }}
{{- $kind := .kind }}{{ $known := false }}
{{- range $kinds }}{{ if eq .kind $kind }}{{ $known = true }}{{ end }}{{ end }}
{{- if not $known }}{{ $kinds = append $kinds (set . "current" true) }}{{ end }}
{{- end }}
{{- $kinds | toYaml }}
{{- end }}
