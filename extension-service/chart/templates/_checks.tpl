{{/* Stops with what to do, for values that cannot work, whatever the engine. */}}
{{- define "image-swapper.checkValues" -}}
{{- if hasSuffix "k8s-image-swapper" .Values.image.repository }}
{{- fail (printf "image.repository: %s is the image of k8s-image-swapper: leave image.repository and image.tag out; `image-swapper migrate VALUES` makes values of this chart from yours" .Values.image.repository) }}
{{- end }}
{{- $engine := include "image-swapper.engine" . }}
{{- $url := include "image-swapper.url" . }}
{{- $service := include "image-swapper.urlService" . | fromJson }}
{{- $own := and (eq ($service.name | default "") (include "image-swapper.fullname" .)) (eq ($service.namespace | default "") .Release.Namespace) }}
{{- if and $own (ne $engine "none") (hasPrefix "http:" $url) (not (include "image-swapper.plainHttp" .)) }}
{{- fail (printf "plainHttp.enabled is false, and %s asks at %s: leave it at auto, or set policies.url=https://%s.%s.svc:%d (the engine must trust its authority, see docs/kyverno.md)" $engine $url (include "image-swapper.fullname" .) .Release.Namespace (int .Values.service.port)) }}
{{- end }}
{{- end }}
