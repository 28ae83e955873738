{{- define "image-swapper.subjects" -}}
- kind: ServiceAccount
  name: {{ include "image-swapper.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
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
{{- $engine := include "image-swapper.engine" . }}
{{- if include "image-swapper.manage" . }}
# policies.manage: whoever can write policies can change every Pod of the cluster.
{{- range include "image-swapper.policyKinds" . | fromYamlArray }}
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  verbs: [get, list, watch, create]
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [update, patch, delete]
{{- end }}
{{- else if and (eq (include "image-swapper.tlsMode" .) "selfSigned") (has $engine (list "gatekeeper" "webhook")) }}
# tls: the authority of the service's certificate goes into the one object that must trust it.
{{- with index (include "image-swapper.policyKinds" . | fromYamlArray) 0 }}
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  resourceNames: {{ toJson .names }}
  verbs: [get, update, patch]
{{- end }}
{{- end }}
{{- end }}

{{/* The kinds of the engine's objects, with the names that ours have. */}}
{{- define "image-swapper.policyKinds" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- if eq $engine "kyverno" }}
- {group: policies.kyverno.io, resource: mutatingpolicies, names: [image-swapper]}
{{- else if eq $engine "kyverno-clusterpolicy" }}
- {group: kyverno.io, resource: clusterpolicies, names: [image-swapper]}
{{- else if eq $engine "gatekeeper" }}
- {group: externaldata.gatekeeper.sh, resource: providers, names: [image-swapper]}
- group: mutations.gatekeeper.sh
  resource: assign
  names: [zz-image-swapper-containers, zz-image-swapper-initcontainers, zz-image-swapper-ephemeralcontainers]
{{- else if eq $engine "webhook" }}
- {group: admissionregistration.k8s.io, resource: mutatingwebhookconfigurations, names: [image-swapper]}
{{- end }}
{{- end }}
