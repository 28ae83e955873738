{{- /* Written by "npm run generate" from extension-service/src/kinds; do not edit. */ -}}
{{- define "image-swapper.kinds" -}}["aws","gcp","oci","acr"]{{- end }}
{{- define "image-swapper.kindsWith.normalize" -}}["aws"]{{- end }}
{{- define "image-swapper.kindsWith.warnings" -}}["aws"]{{- end }}
{{- define "image-swapper.kindsWith.secrets" -}}["oci"]{{- end }}
{{- define "image-swapper.kindsWith.podLabels" -}}["acr"]{{- end }}
{{- define "image-swapper.kindsWith.serviceAccountAnnotations" -}}["acr"]{{- end }}

{{- define "image-swapper.aws.place" -}}
{{- $path := .registry.prefix | default "" | trimAll "/" }}
{{- dict "host" (include "image-swapper.aws.host" .registry) "path" $path | toJson }}
{{- end }}

{{/* naming-hosts.ts */}}
{{- define "image-swapper.aws.host" -}}
{{- $region := lower .region }}
{{- $account := include "image-swapper.digits" .accountId }}
{{- $suffix := "amazonaws.com" }}
{{- $dual := "on.aws" }}
{{- if hasPrefix "cn-" $region }}{{ $suffix = "amazonaws.com.cn" }}{{ $dual = "on.amazonwebservices.com.cn" }}
{{- else if hasPrefix "us-isob-" $region }}{{ $suffix = "sc2s.sgov.gov" }}{{ $dual = "" }}
{{- else if hasPrefix "us-isof-" $region }}{{ $suffix = "csp.hci.ic.gov" }}{{ $dual = "" }}
{{- else if hasPrefix "us-iso-" $region }}{{ $suffix = "c2s.ic.gov" }}{{ $dual = "" }}
{{- else if hasPrefix "eu-isoe-" $region }}{{ $suffix = "cloud.adc-e.uk" }}{{ $dual = "" }}
{{- else if hasPrefix "eusc-" $region }}{{ $suffix = "amazonaws.eu" }}{{ $dual = "" }}{{ $dual = "" }}
{{- end }}
{{- $endpoint := .endpoint | default "standard" }}
{{- if eq $endpoint "fips" }}{{ $account }}.dkr.ecr-fips.{{ $region }}.{{ $suffix }}
{{- else if and $dual (eq $endpoint "dual-stack") }}{{ $account }}.dkr-ecr.{{ $region }}.{{ $dual }}
{{- else if and $dual (eq $endpoint "fips-dual-stack") }}{{ $account }}.dkr-ecr-fips.{{ $region }}.{{ $dual }}
{{- else }}{{ $account }}.dkr.ecr.{{ $region }}.{{ $suffix }}
{{- end }}
{{- end }}

{{/* Writes the account as text: a values file makes a number of it. */}}
{{- define "image-swapper.aws.normalize" -}}
{{- if hasKey .registry "accountId" }}
{{- $digits := include "image-swapper.digits" .registry.accountId }}
{{- if eq (len $digits) 11 }}
{{- fail (printf "%s.accountId is %s, which has 11 digits, and AWS accounts have 12: a values file reads unquoted digits as a number and loses the zero at their start. Put quotes around them: accountId: \"0%s\"" .key $digits $digits) }}
{{- end }}
{{- $_ := set .registry "accountId" $digits }}
{{- end }}
{{- end }}

{{/* An account whose leading zero was lost before Helm saw it: a YAML list of sentences. */}}
{{- define "image-swapper.aws.warnings" -}}
{{- $account := .registry.accountId | default "" }}
{{- $digits := include "image-swapper.digits" $account }}
{{- if and $digits (ne (len $digits) 12) }}
{{- if kindIs "string" $account }}
- {{ printf "%s.accountId is %s: AWS accounts have 12 digits, this has %d." .key $digits (len $digits) | quote }}
{{- else }}
- {{ printf "%s.accountId is %s, which has %d digits, not 12: a values file reads unquoted digits as a number and loses the zero at their start. Put quotes around them: accountId: \"012345678901\". (--set keeps the zero.)" .key $digits (len $digits) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "image-swapper.gcp.place" -}}
{{- $path := printf "%s/%s" (replace ":" "/" .registry.projectId) (.registry.repositoryId | default "") | trimSuffix "/" }}
{{- dict "host" (printf "%s-docker.pkg.dev" (lower .registry.location)) "path" $path | toJson }}
{{- end }}

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
