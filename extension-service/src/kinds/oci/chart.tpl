{{- define "image-swapper.oci.place" -}}
{{- $host := lower .registry.registry }}
{{- if eq $host "index.docker.io" }}{{ $host = "docker.io" }}{{ end }}
{{- if and (regexMatch "^[a-z0-9-]+$" $host) (ne $host "localhost") }}
{{- fail (printf "%s.registry: %q has neither a dot nor a port: write %s:443" .key $host $host) }}
{{- end }}
{{- dict "host" $host "path" (.registry.prefix | default "" | trimAll "/") | toJson }}
{{- end }}

{{- define "image-swapper.oci.secrets" -}}
{{- $credentials := .registry.credentials | default dict }}
{{- with $credentials.secretName }}
{{- list (dict "name" . "namespace" ($credentials.namespace | default $.namespace)) | toJson }}
{{- else }}[]
{{- end }}
{{- end }}
