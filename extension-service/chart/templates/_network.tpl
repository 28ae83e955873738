{{/*
The TCP ports that the service must reach, as a JSON list: the usual ones, and those that `config` and `extraEnv` name.
NetworkPolicies apply to the port of the Pod or host behind a Service, so the API server's port is rarely 443.
*/}}
{{- define "image-swapper.egressPorts" -}}
{{- $config := .Values.config | default dict }}
{{- /* API servers: 6443 in most clusters, 8443 in minikube, 16443 in MicroK8s. */}}
{{- $ports := list 80 443 6443 8443 16443 }}
{{- /* GKE's metadata server with Workload Identity. */}}
{{- $ports = append $ports 988 }}
{{- range concat (list ($config.target | default dict)) ($config.targets | default list) (dig "source" "registries" list $config | default list) }}
{{- $one := . }}
{{- range include "image-swapper.kinds" $ | fromJsonArray }}
{{- $registry := dig . "registry" "" $one }}
{{- with regexFind ":[0-9]+$" $registry }}
{{- $ports = append $ports (trimPrefix ":" . | int) }}
{{- end }}
{{- /* A Service of the cluster: the ports of Distribution's Pods and Harbor's; 8443 is there. */}}
{{- if regexMatch "^(?:[^.:]+|[^:]+\\.svc(?:\\.[^:]+)?)(?::[0-9]+)?$" $registry }}
{{- $ports = concat $ports (list 5000 8080) }}
{{- end }}
{{- end }}
{{- end }}
{{- range concat (list ($config.target | default dict)) ($config.targets | default list) }}
{{- with regexFind ":[0-9]+(?:[/?#]|$)" (regexReplaceAll "^[^/]*//(?:[^/@]*@)?" (dig "gate" "webhook" "url" "" .) "") | regexFind "[0-9]+" }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- end }}
{{- $queue := dig "queue" "type" "memory" $config }}
{{- if ne $queue "memory" }}
{{- $port := regexFind ":[0-9]+(?:/|\\?|$)" (regexReplaceAll "^.*@" (dig "queue" "url" "" $config) "") | regexFind "[0-9]+" }}
{{- $ports = append $ports ($port | default (ternary 6379 5432 (eq $queue "redis")) | int) }}
{{- range dig "queue" "sentinels" list $config }}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | int) }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if regexMatch "^(?:(?:HTTPS?|https?)_(?:PROXY|proxy)|AWS_ENDPOINT_URL.*)$" .name }}
{{- with regexFind ":[0-9]+/?$" (.value | default "" | toString | trim | regexFind "^(?:[a-z]+://)?[^/]*/?") }}
{{- $ports = append $ports (. | trimPrefix ":" | trimSuffix "/" | int) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.networkPolicy.egress.extraPorts }}{{ $ports = append $ports (int .) }}{{ end }}
{{- $ports | uniq | toJson }}
{{- end }}
