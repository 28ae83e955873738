{{/*
The image prefixes of every target, as the service names them (core/policies/targets.ts): a JSON list. Tests compare the
two over many configurations.
*/}}
{{- define "image-swapper.targets" -}}
{{- $config := .Values.config | default dict }}
{{- $prefixes := list }}
{{- range $index, $target := $config.targets }}
{{- $prefixes = concat $prefixes (include "image-swapper.targetPrefixes" (dict "target" $target "key" (printf "config.targets[%d]" $index)) | fromJsonArray) }}
{{- end }}
{{- with $config.target }}
{{- $prefixes = concat $prefixes (include "image-swapper.targetPrefixes" (dict "target" . "key" "config.target") | fromJsonArray) }}
{{- end }}
{{- if not $prefixes }}
{{- fail "config.target: required: the registry to mirror images to, for example --set config.target.aws.accountId=123456789012 --set config.target.aws.region=eu-central-1, or config.target.gcp or config.target.oci" }}
{{- end }}
{{- $prefixes | uniq | toJson }}
{{- end }}

{{/* The value of `type`, or the only key of a kind that is set. */}}
{{- define "image-swapper.registryType" -}}
{{- $types := include "image-swapper.kinds" . | fromJsonArray }}
{{- $given := list }}
{{- range $types }}
{{- if hasKey $.target . }}{{ $given = append $given . }}{{ end }}
{{- end }}
{{- if .target.type }}{{ .target.type }}
{{- else if eq (len $given) 1 }}{{ first $given }}
{{- else }}{{ fail (printf "%s: set exactly one of %s; set now: %s" .key (join ", " $types) (join " and " $given | default "none")) }}
{{- end }}
{{- end }}

{{/* The prefixes of a target's images, one for each entry of its `paths`: a JSON list. */}}
{{- define "image-swapper.targetPrefixes" -}}
{{- $type := include "image-swapper.registryType" . }}
{{- if not (hasKey .target $type) }}{{ fail (printf "%s: type is %s, but %s.%s is not set" .key $type .key $type) }}{{ end }}
{{- $asked := dict "registry" (get .target $type) "key" (printf "%s.%s" .key $type) }}
{{- $place := include (printf "image-swapper.%s.place" $type) $asked | fromJson }}
{{- $start := ternary "" (printf "%s/" $place.path) (eq $place.path "") }}
{{- $prefixes := list }}
{{- if and (hasKey .target "paths") (not (kindIs "invalid" .target.paths)) }}
{{- if not .target.paths }}{{ fail (printf "%s.paths: is empty, so the target gets no images: add a registry" .key) }}{{ end }}
{{- range $registry, $path := .target.paths }}
{{- $prefixes = append $prefixes (printf "%s/%s%s/" $place.host $start ($path | trimAll "/")) }}
{{- end }}
{{- $prefixes = sortAlpha $prefixes }}
{{- else }}
{{- $prefixes = list (printf "%s/%s" $place.host $start) }}
{{- end }}
{{- $checked := dict "type" $type "key" .key }}
{{- range $prefixes }}
{{- if not (regexMatch "^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(?::[0-9]{1,5})?/(?:[a-z0-9][a-z0-9._-]*/)*$" .) }}
{{- fail (printf "%s.%s: images would begin with %q, which is not a registry and path" $checked.key $checked.type .) }}
{{- end }}
{{- end }}
{{- $prefixes | uniq | toJson }}
{{- end }}

{{/* The different values of `imageCopyPolicy` of all targets: a JSON list. */}}
{{- define "image-swapper.copyPolicies" -}}
{{- $config := .Values.config | default dict }}
{{- $usual := $config.imageCopyPolicy | default "delayed" }}
{{- $policies := list }}
{{- range concat ($config.targets | default list) (list $config.target | compact) }}
{{- $policies = append $policies (.imageCopyPolicy | default $usual) }}
{{- end }}
{{- $policies | uniq | toJson }}
{{- end }}

{{/* The namespace of the ConfigMap in which gates store ages; empty if no target has a minimumAge. */}}
{{- define "image-swapper.firstSeenNamespace" -}}
{{- $config := include "image-swapper.config" . | fromYaml }}
{{- range concat ($config.targets | default list) (list $config.target | compact) }}
{{- if dig "gate" "minimumAge" "" . }}{{ $_ := set $config "ages" true }}{{ end }}
{{- end }}
{{- if $config.ages }}{{ dig "lease" "namespace" "" $config | default .Release.Namespace }}{{ end }}
{{- end }}

{{/* Whether Pods wait for copies. */}}
{{- define "image-swapper.waitsForCopies" -}}
{{- $policies := include "image-swapper.copyPolicies" . | fromJsonArray }}
{{- if or (has "immediate" $policies) (has "force" $policies) }}true{{ end }}
{{- end }}

{{/*
`imageCopyDeadline` as JSON {text, whole, enough}: the original text, whole seconds, and the seconds of a timeout that leaves
time for the copy and an answer. Adding a Go duration to a date parses it.
*/}}
{{- define "image-swapper.copyDeadline" -}}
{{- $text := dig "imageCopyDeadline" "8s" (.Values.config | default dict) | default "8s" }}
{{- $start := toDate "2006-01-02" "2000-01-01" }}
{{- $end := dateModify $text $start }}
{{- $whole := sub (unixEpoch $end | int64) (unixEpoch $start | int64) }}
{{- $more := ternary 2 3 (eq (date ".000000000" $end) ".000000000") }}
{{- dict "text" $text "whole" $whole "enough" (add $whole $more) | toJson }}
{{- end }}

{{/* Every configured registry, by its key: a JSON object. */}}
{{- define "image-swapper.registries" -}}
{{- $config := .Values.config | default dict }}
{{- $registries := dict }}
{{- with $config.target }}{{ $_ := set $registries "config.target" . }}{{ end }}
{{- range $index, $one := $config.targets }}{{ $_ := set $registries (printf "config.targets[%d]" $index) $one }}{{ end }}
{{- range $index, $one := dig "source" "registries" list $config }}{{ $_ := set $registries (printf "config.source.registries[%d]" $index) $one }}{{ end }}
{{- $registries | toJson }}
{{- end }}

{{/* Calls a hook of each configured registry's kind (dict "root" . "hook" "warnings"): a JSON list of texts. */}}
{{- define "image-swapper.askKinds" -}}
{{- $root := .root }}
{{- $hook := .hook }}
{{- $answers := list }}
{{- $types := include (printf "image-swapper.kindsWith.%s" $hook) . | fromJsonArray }}
{{- range $key, $one := include "image-swapper.registries" $root | fromJson }}
{{- range $type := $types }}
{{- $registry := get ($one | default dict) $type }}
{{- if kindIs "map" $registry }}
{{- $asked := dict "registry" $registry "key" (printf "%s.%s" $key $type) "namespace" $root.Release.Namespace }}
{{- $answers = append $answers (include (printf "image-swapper.%s.%s" $type $hook) $asked) }}
{{- end }}
{{- end }}
{{- end }}
{{- $answers | toJson }}
{{- end }}

{{/* Warnings about the registries, for users: a YAML list of sentences. */}}
{{- define "image-swapper.registryWarnings" -}}
{{- range include "image-swapper.askKinds" (dict "root" . "hook" "warnings") | fromJsonArray }}{{ . }}{{ end }}
{{- end }}

{{/* Labels that Pods need for the login of a registry: a YAML mapping. */}}
{{- define "image-swapper.registryPodLabels" -}}
{{- $labels := dict }}
{{- range include "image-swapper.askKinds" (dict "root" . "hook" "podLabels") | fromJsonArray }}
{{- $labels = merge $labels (fromYaml .) }}
{{- end }}
{{- $labels | toYaml }}
{{- end }}

{{/* The same, merged with the user's, which take precedence. */}}
{{- define "image-swapper.podLabels" -}}
{{- merge (.Values.podLabels | default dict | deepCopy) (include "image-swapper.registryPodLabels" . | fromYaml) | toYaml }}
{{- end }}

{{/* Annotations that the ServiceAccount needs for it, merged with the user's, which take precedence: a YAML mapping. */}}
{{- define "image-swapper.serviceAccountAnnotations" -}}
{{- $annotations := dict }}
{{- range include "image-swapper.askKinds" (dict "root" . "hook" "serviceAccountAnnotations") | fromJsonArray }}
{{- $annotations = merge $annotations (fromYaml .) }}
{{- end }}
{{- merge (.Values.serviceAccount.annotations | default dict | deepCopy) $annotations | toYaml }}
{{- end }}
