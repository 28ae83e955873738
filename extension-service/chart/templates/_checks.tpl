{{/* Stops with what to do, for values that cannot work, whatever the engine. */}}
{{- define "image-swapper.checkValues" -}}
{{- $repository := include "image-swapper.imageRepository" . }}
{{- if hasSuffix "k8s-image-swapper" $repository }}
{{- fail (printf "image.repository: %s is the image of k8s-image-swapper: leave out image.repository and image.tag; `image-swapper migrate VALUES` converts your values" $repository) }}
{{- end }}
{{- if and (semverCompare "<1.0.0-0" .Chart.AppVersion) (hasSuffix "image-swapper/image-swapper" $repository) (regexMatch "^v?1\\.[0-9]+\\.[0-9]+$" (toString .Values.image.tag)) }}
{{- fail (printf "image.tag: %s is a version of k8s-image-swapper, and this chart is for image-swapper %s: leave image.tag out; `image-swapper migrate VALUES` makes values of this chart from yours" (toString .Values.image.tag) .Chart.AppVersion) }}
{{- end }}
{{- include "image-swapper.checkPolicyName" . }}
{{- include "image-swapper.checkTlsValues" . }}
{{- include "image-swapper.checkAuth" . }}
{{- include "image-swapper.checkGuards" . }}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $deadline := include "image-swapper.copyDeadline" . | fromJson }}
{{- $given := int (.Values.policies.timeoutSeconds | default .Values.webhook.timeoutSeconds | default 31) }}
{{- if and $facts.startsCopies (include "image-swapper.waitsForCopies" .) (gt (int $deadline.enough) 30) (lt (int $deadline.whole) $given | or (eq $given 31)) }}
{{- fail (printf "config.imageCopyDeadline: %s is longer than 28s, but imageCopyPolicy immediate or force waits this long, and the API server gives a webhook at most 30s; the service refuses to start: set 28s or less" $deadline.text) }}
{{- end }}
{{- if and $facts.managedOnly (not (include "image-swapper.manage" .)) }}
{{- fail (printf "policies.manage: must be true with policies.engine %s: %s" $engine $facts.managedOnly) }}
{{- end }}
{{- $url := include "image-swapper.url" . }}
{{- $service := include "image-swapper.urlService" . | fromJson }}
{{- $own := and (eq ($service.name | default "") (include "image-swapper.fullname" .)) (eq ($service.namespace | default "") .Release.Namespace) }}
{{- if and $own (ne $engine "none") (hasPrefix "http:" $url) (not (include "image-swapper.plainHttp" .)) }}
{{- fail (printf "plainHttp.enabled is false, but %s calls %s: leave it at auto, or set policies.url=https://%s.%s.svc:%d (the engine must trust its CA, see docs/kyverno.md)" $engine $url (include "image-swapper.fullname" .) .Release.Namespace (int .Values.service.port)) }}
{{- end }}
{{- end }}

{{/*
A parent chart can contain this chart twice, under two aliases. Policies have no namespace, so the second would replace those of
the first. The charts of a release see nothing of each other, except for `.Release`, which they share while they are rendered.
*/}}
{{- define "image-swapper.checkPolicyName" -}}
{{- if ne (include "image-swapper.engine" .) "none" }}
{{- $name := include "image-swapper.policyName" . }}
{{- $own := include "image-swapper.fullname" . }}
{{- $key := printf "image-swapper.policies.%s" $name }}
{{- $other := get .Release $key | default $own }}
{{- if ne $other $own }}
{{- $both := list $own $other | sortAlpha }}
{{- fail (printf "config.policies.name: the policies of %s and %s in this release are both named %s, and policies have no namespace: set another config.policies.name in one of the two" (first $both) (last $both) $name) }}
{{- end }}
{{- $_ := set .Release $key $own }}
{{- end }}
{{- end }}

{{/* Secrets in a ConfigMap, and policies of the chart's own, which cannot send what the service asks of its callers. */}}
{{- define "image-swapper.checkAuth" -}}
{{- $auth := dig "auth" dict (.Values.config | default dict) | default dict }}
{{- $variables := list }}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end }}
{{- range $place := list "kyverno.secret" "webhook.path" "explain.secret" }}
{{- $keys := splitList "." $place }}
{{- if dig (first $keys) (last $keys) "" $auth }}
{{- fail (printf "config.auth.%s: is a secret, but `config` is stored in a ConfigMap: put it in a Secret, and pass that with extraEnv: IMAGE_SWAPPER_AUTH_%s" $place (upper $place | replace "." "_")) }}
{{- end }}
{{- end }}
{{- $rendered := include "image-swapper.renderedEngine" . }}
{{- $sends := or (and (dig "kyverno" "secretName" "" $auth) (has "secret" (include "image-swapper.engineFacts" . | fromJson).proves)) (and (has "IMAGE_SWAPPER_AUTH_WEBHOOK_PATH" $variables) (has "path" (include "image-swapper.engineFacts" . | fromJson).proves)) }}
{{- if and $rendered $sends }}
{{- fail "auth: the policies that the chart renders send neither a secret nor a path: set policies.manage=true, so that the service writes them" }}
{{- end }}
{{- $pods := (.Values.config | default dict).pods | default dict }}
{{- if and (has (include "image-swapper.renderedEngine" .) (list "kyverno" "kyverno-clusterpolicy")) (or $pods.pullSecret $pods.annotate) }}
{{- fail "config.pods: the Kyverno policies that the chart renders change only images: set policies.manage=true, so that the service writes them, or leave config.pods out" }}
{{- end }}
{{- end }}

{{/* Values of a certificate that would be left unread. */}}
{{- define "image-swapper.checkTlsValues" -}}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- if and .Values.certmanager.enabled (eq .Values.tls.mode "disabled") }}
{{- fail "certmanager.enabled is true, but tls.mode is disabled: leave one of them out; certmanager.enabled implies tls.mode certManager" }}
{{- end }}
{{- if and .Values.tls.existingSecret (ne $mode "existingSecret") }}
{{- fail (printf "tls.existingSecret is %s, but tls.mode is %s: %s, or leave out tls.existingSecret" .Values.tls.existingSecret $mode (ternary "set certmanager.enabled=false and tls.mode=existingSecret" "set tls.mode=existingSecret" .Values.certmanager.enabled)) }}
{{- end }}
{{- end }}

{{/* Guards of `source` that the engine cannot honor, and policies of the chart's own, which do not send every Pod. */}}
{{- define "image-swapper.checkGuards" -}}
{{- $source := dig "source" dict (.Values.config | default dict) | default dict }}
{{- $engine := include "image-swapper.engine" . }}
{{- if and (eq (dig "accessCheck" "none" $source) "pullSecrets") (include "image-swapper.engineFacts" . | fromJson).imagesOnly }}
{{- fail (printf "config.source.accessCheck: is pullSecrets, but policies.engine is %s, which sends only image names: use another engine, or set none" $engine) }}
{{- end }}
{{- if and (eq (dig "directTarget" "keep" $source) "refuse") (ne (include "image-swapper.renderedEngine" .) "") }}
{{- fail "config.source.directTarget: is refuse, but the policies that the chart renders do not send every Pod: set policies.manage=true, so that the service writes them" }}
{{- end }}
{{- end }}
