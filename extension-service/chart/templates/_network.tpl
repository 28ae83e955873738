{{/* TCP ports that the service must reach: the usual ones, and those that `config` names. A JSON list. */}}
{{- define "image-swapper.egressPorts" -}}
{{- $config := .Values.config | default dict }}
{{- $ports := list 80 443 6443 }}
{{- /* GKE's metadata server with Workload Identity. */}}
{{- $ports = append $ports 988 }}
{{- range concat (list ($config.target | default dict)) ($config.targets | default list) (dig "source" "registries" list $config | default list) }}
{{- with regexFind ":[0-9]+$" (dig "oci" "registry" "" .) }}
{{- $ports = append $ports (trimPrefix ":" . | int) }}
{{- end }}
{{- end }}
{{- $queue := dig "queue" "type" "memory" $config }}
{{- if ne $queue "memory" }}
{{- $port := regexFind ":[0-9]+(?:/|\\?|$)" (regexReplaceAll "^.*@" (dig "queue" "url" "" $config) "") | regexFind "[0-9]+" }}
{{- $ports = append $ports ($port | default (ternary 6379 5432 (eq $queue "redis")) | int) }}
{{- end }}
{{- range .Values.networkPolicy.egress.extraPorts }}{{ $ports = append $ports (int .) }}{{ end }}
{{- $ports | uniq | toJson }}
{{- end }}
