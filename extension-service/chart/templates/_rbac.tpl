{{- define "image-swapper.subjects" -}}
- kind: ServiceAccount
  name: {{ include "image-swapper.serviceAccountName" . }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* What the service may do in the whole cluster, by feature. */}}
{{- define "image-swapper.clusterRules" -}}
{{- $config := include "image-swapper.config" . | fromYaml }}
{{- if dig "reconcile" "enabled" true $config }}
# reconcile: the cluster's Pods and workloads are the list of what must be mirrored.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch]
{{- end }}
{{- if dig "events" "enabled" true $config }}
# events: what became of copies, on the workloads that use the images.
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- if $config.secretReader.enabled }}
# secretReader: copies from private registries with the Pods' own pull secrets.
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
# tls: the authority of the service's certificate goes into the one object that must trust it.
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [get, update, patch]
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* policies.manage: the policies of the engine, and none of an engine that was configured before. */}}
{{- define "image-swapper.policyRules" -}}
{{- range include "image-swapper.policyKinds" . | fromYamlArray }}
{{- if .current }}
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  verbs: [get, list, watch, create]
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [update, patch, delete]
{{- else }}
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  verbs: [get, list, watch]
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [delete]
{{- end }}
{{- end }}
{{- end }}

{{/*
The kinds that policies are made of, with the names that ours have; whether they are the engine's now, and whether they
carry the authority of the service's certificate.
*/}}
{{- define "image-swapper.policyKinds" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $name := include "image-swapper.policyName" . }}
- group: policies.kyverno.io
  resource: mutatingpolicies
  names: [{{ $name }}]
  current: {{ eq $engine "kyverno" }}
- group: kyverno.io
  resource: clusterpolicies
  names: [{{ $name }}]
  current: {{ eq $engine "kyverno-clusterpolicy" }}
- group: externaldata.gatekeeper.sh
  resource: providers
  names: [{{ $name }}]
  current: {{ eq $engine "gatekeeper" }}
  authority: true
- group: mutations.gatekeeper.sh
  resource: assign
  names: [zz-{{ $name }}-containers, zz-{{ $name }}-initcontainers, zz-{{ $name }}-ephemeralcontainers]
  current: {{ eq $engine "gatekeeper" }}
- group: admissionregistration.k8s.io
  resource: mutatingwebhookconfigurations
  names: [{{ $name }}]
  current: {{ eq $engine "webhook" }}
  authority: true
{{- end }}
