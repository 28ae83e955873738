{{/*
The image prefixes of every target, as the service names them (core/policies/targets.ts): a JSON list. Tests compare the
two over many configurations.
*/}}
{{- define "image-swapper.targets" -}}
{{- $config := .Values.config | default dict }}
{{- $prefixes := list }}
{{- range $index, $target := $config.targets }}
{{- $prefixes = append $prefixes (include "image-swapper.targetPrefix" (dict "target" $target "key" (printf "config.targets[%d]" $index))) }}
{{- end }}
{{- with $config.target }}
{{- $prefixes = append $prefixes (include "image-swapper.targetPrefix" (dict "target" . "key" "config.target")) }}
{{- end }}
{{- if not $prefixes }}
{{- fail "config.target: say which registry images are mirrored to, such as --set config.target.aws.accountId=123456789012 --set config.target.aws.region=eu-central-1, or config.target.gcp or config.target.oci" }}
{{- end }}
{{- $prefixes | uniq | toJson }}
{{- end }}

{{/* `type`, or the one of aws, gcp and oci that is there. */}}
{{- define "image-swapper.registryType" -}}
{{- $given := list }}
{{- range list "aws" "gcp" "oci" }}
{{- if hasKey $.target . }}{{ $given = append $given . }}{{ end }}
{{- end }}
{{- if .target.type }}{{ .target.type }}
{{- else if eq (len $given) 1 }}{{ first $given }}
{{- else }}{{ fail (printf "%s: give one of aws, gcp, oci; there is %s" .key (join " and " $given | default "none")) }}
{{- end }}
{{- end }}

{{- define "image-swapper.targetPrefix" -}}
{{- $type := include "image-swapper.registryType" . }}
{{- if not (hasKey .target $type) }}{{ fail (printf "%s: type is %s, and there is no %s.%s" .key $type .key $type) }}{{ end }}
{{- $registry := get .target $type }}
{{- $host := "" }}
{{- $path := $registry.prefix | default "" | trimAll "/" }}
{{- if eq $type "aws" }}
{{- $host = include "image-swapper.ecrHost" $registry }}
{{- else if eq $type "gcp" }}
{{- $host = printf "%s-docker.pkg.dev" (lower $registry.location) }}
{{- $path = printf "%s/%s" (replace ":" "/" $registry.projectId) $registry.repositoryId }}
{{- else }}
{{- $host = lower $registry.registry }}
{{- if eq $host "index.docker.io" }}{{ $host = "docker.io" }}{{ end }}
{{- end }}
{{- if and (eq $type "oci") (regexMatch "^[a-z0-9-]+$" $host) (ne $host "localhost") }}
{{- fail (printf "%s.oci.registry: %q has neither a dot nor a port: write %s:443" .key $host $host) }}
{{- end }}
{{- $prefix := printf "%s/%s" $host (ternary "" (printf "%s/" $path) (eq $path "")) }}
{{- if not (regexMatch "^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(?::[0-9]{1,5})?/(?:[a-z0-9][a-z0-9._-]*/)*$" $prefix) }}
{{- fail (printf "%s.%s: images would begin with %q, which is no registry and path" .key $type $prefix) }}
{{- end }}
{{- $prefix }}
{{- end }}

{{/* What `imageCopyPolicy` is for each target: a JSON list. */}}
{{- define "image-swapper.copyPolicies" -}}
{{- $config := .Values.config | default dict }}
{{- $usual := $config.imageCopyPolicy | default "delayed" }}
{{- $policies := list }}
{{- range concat ($config.targets | default list) (list $config.target | compact) }}
{{- $policies = append $policies (.imageCopyPolicy | default $usual) }}
{{- end }}
{{- $policies | uniq | toJson }}
{{- end }}

{{/* Whether Pods wait for copies. */}}
{{- define "image-swapper.waitsForCopies" -}}
{{- $policies := include "image-swapper.copyPolicies" . | fromJsonArray }}
{{- if or (has "immediate" $policies) (has "force" $policies) }}true{{ end }}
{{- end }}

{{/*
How long, as JSON {text, whole, enough}: as written, in whole seconds, and the seconds of a timeout that leaves time for it
and an answer. Go's durations are read by adding them to a day.
*/}}
{{- define "image-swapper.copyDeadline" -}}
{{- $text := dig "imageCopyDeadline" "8s" (.Values.config | default dict) | default "8s" }}
{{- $start := toDate "2006-01-02" "2000-01-01" }}
{{- $end := dateModify $text $start }}
{{- $whole := sub (unixEpoch $end | int64) (unixEpoch $start | int64) }}
{{- $more := ternary 2 3 (eq (date ".000000000" $end) ".000000000") }}
{{- dict "text" $text "whole" $whole "enough" (add $whole $more) | toJson }}
{{- end }}

{{/* core/naming/ecr.ts */}}
{{- define "image-swapper.ecrHost" -}}
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

{{/* Accounts whose leading zero was lost before Helm saw them: a YAML list of sentences. */}}
{{- define "image-swapper.accountWarnings" -}}
{{- $config := .Values.config | default dict }}
{{- $registries := dict }}
{{- with $config.target }}{{ $_ := set $registries "config.target" . }}{{ end }}
{{- range $index, $one := $config.targets }}{{ $_ := set $registries (printf "config.targets[%d]" $index) $one }}{{ end }}
{{- range $index, $one := dig "source" "registries" list $config }}{{ $_ := set $registries (printf "config.source.registries[%d]" $index) $one }}{{ end }}
{{- range $key, $one := $registries }}
{{- $account := dig "aws" "accountId" "" ($one | default dict) }}
{{- $digits := include "image-swapper.digits" $account }}
{{- if and $digits (ne (len $digits) 12) }}
{{- if kindIs "string" $account }}
- {{ printf "%s.aws.accountId is %s: AWS accounts have 12 digits, this has %d." $key $digits (len $digits) | quote }}
{{- else }}
- {{ printf "%s.aws.accountId is %s, which has %d digits, not 12: a values file reads unquoted digits as a number and loses the zero at their start. Put quotes around them: accountId: \"012345678901\". (--set keeps the zero.)" $key $digits (len $digits) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
