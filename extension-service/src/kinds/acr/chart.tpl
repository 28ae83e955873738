{{- define "image-swapper.acr.place" -}}
{{- dict "host" (lower .registry.registry) "path" (.registry.prefix | default "" | trimAll "/") | toJson }}
{{- end }}

{{- /* The label that the workload identity webhook looks for. */}}
{{- define "image-swapper.acr.podLabels" -}}
azure.workload.identity/use: "true"
{{- end }}

{{- define "image-swapper.acr.serviceAccountAnnotations" -}}
{{- with .registry.clientId }}
azure.workload.identity/client-id: {{ . | quote }}
{{- end }}
{{- with .registry.tenantId }}
azure.workload.identity/tenant-id: {{ . | quote }}
{{- end }}
{{- end }}
