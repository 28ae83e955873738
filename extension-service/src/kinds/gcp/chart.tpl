{{- define "image-swapper.gcp.place" -}}
{{- $path := printf "%s/%s" (replace ":" "/" .registry.projectId) (.registry.repositoryId | default "") | trimSuffix "/" }}
{{- dict "host" (printf "%s-docker.pkg.dev" (lower .registry.location)) "path" $path | toJson }}
{{- end }}
