{{/* What the user should know about the values: a YAML list of sentences. */}}
{{- define "image-swapper.warnings" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- include "image-swapper.registryWarnings" . }}
{{- range $key := list "patch" "dev" "test" "cacheVolume" "podSecurityPolicy" "kubeVersionOverride" }}
{{- if hasKey $.Values $key }}
- {{ printf "%s has no meaning in this chart%s and was left unread; leave it out." $key (ternary " (the service makes its certificate itself)" "" (eq $key "patch")) | quote }}
{{- end }}
{{- end }}
{{- if and (ne $mode "certManager") (or .Values.certmanager.issuerName (ne .Values.certmanager.issuerKind "Issuer")) }}
- {{ printf "certmanager.issuerName and certmanager.issuerKind are for cert-manager's certificate, and tls.mode is %s: set certmanager.enabled=true, or leave them out." $mode | quote }}
{{- end }}
{{- if and .Values.secretReader.secretNames (not (dig "secretReader" "enabled" .Values.secretReader.enabled (.Values.config | default dict))) }}
- "secretReader.secretNames: no Secret is read, since secretReader.enabled is false: set it to true, or leave the names out."
{{- end }}
{{- if and .Values.prewarm.schedule (not .Values.prewarm.enabled) }}
- "prewarm.schedule: nothing runs by it, since prewarm.enabled is false: set it to true, or leave the schedule out."
{{- end }}
{{- if and (not $facts.webhookValues) (or .Values.webhook.namespaceSelector .Values.webhook.objectSelector) }}
- {{ printf "webhook.namespaceSelector and webhook.objectSelector are for policies.engine webhook; with %s use policies.excludedNamespaces or config.source.filters." $engine | quote }}
{{- end }}
{{- if and (hasPrefix "http:" (include "image-swapper.url" .)) (ne $engine "none") (or .Values.hostNetwork (not .Values.networkPolicy.enabled)) }}
- {{ printf "Pods go to the service by plain HTTP, and %s: everything that reaches it can ask it, and whoever is on the way can change its answers." (ternary "with hostNetwork no NetworkPolicy holds for it" "networkPolicy.enabled is false" .Values.hostNetwork) | quote }}
{{- end }}
{{- if and $facts.trustsItsStoreOnly (hasPrefix "https:" (include "image-swapper.url" .)) (eq $mode "selfSigned") }}
- {{ printf "MutatingPolicy over https trusts Kyverno's own trust store alone: put the authority of ConfigMap %s into Kyverno's value admissionController.caCertificates.data." (include "image-swapper.caConfigMapName" .) | quote }}
{{- end }}
{{- if $facts.retirement }}
- {{ printf "policies.engine %s: %s. Change to policies.engine=kyverno before you upgrade Kyverno." $engine $facts.retirement | quote }}
{{- end }}
{{- if include "image-swapper.failClosed" . }}
- "Fail closed: while the service does not answer, no Pod starts in the namespaces that the policies cover."
{{- if and (not .Values.autoscaling.enabled) (lt (int .Values.replicaCount) 2) }}
- "Fail closed with one replica: every restart of it stops all other Pods from starting. Set replicaCount to 2 or more."
{{- end }}
{{- end }}
{{- if include "image-swapper.manage" . }}
- "policies.manage: the service has the right to write policies of the whole cluster; whoever can do that can change every Pod."
{{- end }}
{{- if and .Values.secretReader.enabled (not .Values.secretReader.secretNames) }}
- "secretReader: the service may read every Secret of the cluster; secretReader.secretNames limits that."
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.networkPolicy.metricsNamespaces }}
- "networkPolicy.metricsNamespaces: the namespace of Prometheus must be one of them."
{{- end }}
{{- end }}
