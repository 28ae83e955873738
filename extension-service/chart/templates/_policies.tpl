{{/* Engine, undecidable, table, manage and failClosed: `config.policies` if it sets the key, else the chart's `policies`. */}}
{{- define "image-swapper.engine" -}}
{{- dig "policies" "engine" .Values.policies.engine (.Values.config | default dict) }}
{{- end }}

{{- define "image-swapper.undecidable" -}}
{{- dig "policies" "undecidable" .Values.policies.undecidable (.Values.config | default dict) }}
{{- end }}

{{- define "image-swapper.table" -}}
{{- if dig "policies" "table" .Values.policies.table (.Values.config | default dict) }}true{{ end }}
{{- end }}

{{- define "image-swapper.manage" -}}
{{- if dig "policies" "manage" .Values.policies.manage (.Values.config | default dict) }}true{{ end }}
{{- end }}

{{- define "image-swapper.failClosed" -}}
{{- if or (dig "policies" "failClosed" .Values.policies.failClosed (.Values.config | default dict)) (eq .Values.webhook.failurePolicy "Fail") }}true{{ end }}
{{- end }}

{{- define "image-swapper.policyName" -}}
{{- dig "policies" "name" "image-swapper" (.Values.config | default dict) }}
{{- end }}

{{/* The engine whose policies the chart renders; empty if the service or the user renders them. */}}
{{- define "image-swapper.renderedEngine" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- if not (or (include "image-swapper.manage" .) (eq $engine "none")) }}{{ $engine }}{{ end }}
{{- end }}

{{- define "image-swapper.url" -}}
{{- $host := printf "%s.%s.svc" (include "image-swapper.fullname" .) .Release.Namespace }}
{{- $given := dig "policies" "url" .Values.policies.url (.Values.config | default dict) }}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $plain := or $facts.plainHttp (and (eq $engine "none") (eq (toString .Values.plainHttp.enabled) "true")) }}
{{- if $given }}{{ trimSuffix "/" $given }}
{{- else if or $plain (eq (include "image-swapper.tlsMode" .) "disabled") }}http://{{ $host }}:{{ .Values.service.httpPort }}
{{- else }}https://{{ $host }}:{{ .Values.service.port }}
{{- end }}
{{- end }}

{{/* The Service that the URL names, as JSON {name, namespace, port, path}; {} for any other host. */}}
{{- define "image-swapper.urlService" -}}
{{- $url := include "image-swapper.url" . }}
{{- $pattern := "^https?://([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\\.svc(?:\\.[a-z0-9.-]+)?(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~-]+)*)$" }}
{{- if regexMatch $pattern $url }}
{{- $port := regexReplaceAll $pattern $url "${3}" | default (ternary "443" "80" (hasPrefix "https:" $url)) | int }}
{{- dict "name" (regexReplaceAll $pattern $url "${1}") "namespace" (regexReplaceAll $pattern $url "${2}") "port" $port "path" (regexReplaceAll $pattern $url "${4}") | toJson }}
{{- else }}{}
{{- end }}
{{- end }}

{{/* The timeout in seconds: the given one, else one that is long enough for the copies that Pods wait for. */}}
{{- define "image-swapper.timeout" -}}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $usual := int $facts.usualTimeout }}
{{- if and $facts.startsCopies (include "image-swapper.waitsForCopies" .) }}
{{- $usual = min 30 (max $usual (include "image-swapper.copyDeadline" . | fromJson).enough) }}
{{- end }}
{{- .Values.policies.timeoutSeconds | default .Values.webhook.timeoutSeconds | default $usual }}
{{- end }}

{{/* Rejects a timeout that ends before the copies that Pods wait for. */}}
{{- define "image-swapper.checkDeadline" -}}
{{- $key := ternary "policies.timeoutSeconds" "webhook.timeoutSeconds" (not (empty .Values.policies.timeoutSeconds)) }}
{{- $given := .Values.policies.timeoutSeconds | default .Values.webhook.timeoutSeconds }}
{{- $deadline := include "image-swapper.copyDeadline" . | fromJson }}
{{- if and $given (include "image-swapper.waitsForCopies" .) (ge (int $deadline.whole) (int $given)) }}
{{- $longer := ternary (printf "leave %s out, set it to %d" $key (int $deadline.enough)) "set both, such as config.imageCopyDeadline=28s and 30" (le (int $deadline.enough) 30) }}
{{- fail (printf "%s: the engine would stop waiting after %d s, but Pods wait for copies (imageCopyPolicy immediate or force) until config.imageCopyDeadline, %s: %s, or set config.imageCopyDeadline to less than %ds" $key (int $given) $deadline.text $longer (int $given)) }}
{{- end }}
{{- end }}

{{/* The namespaces that are excluded in addition to the renderers' own: a JSON list. */}}
{{- define "image-swapper.excludedNamespaces" -}}
{{- $service := include "image-swapper.urlService" . | fromJson }}
{{- $given := concat (.Values.policies.excludedNamespaces | default list) (dig "policies" "excludedNamespaces" list (.Values.config | default dict) | default list) }}
{{- prepend $given .Release.Namespace | concat (list $service.namespace | compact) | uniq | toJson }}
{{- end }}

{{/* On an upgrade: the CA certificates (PEM) that the service published in its ConfigMap; empty on an installation. */}}
{{- define "image-swapper.publishedCa" -}}
{{- if eq (include "image-swapper.tlsMode" .) "selfSigned" }}
{{- $map := lookup "v1" "ConfigMap" .Release.Namespace (include "image-swapper.caConfigMapName" .) }}
{{- dig "data" "ca.crt" "" ($map | default dict) }}
{{- end }}
{{- end }}

{{/*
The CA certificates in base64; empty if the service or cert-manager sets them. Helm does not change a field on upgrades and
rollbacks that no release has set.
*/}}
{{- define "image-swapper.caBundle" -}}
{{- .Values.tls.caBundle | b64enc }}
{{- end }}

{{/*
Gatekeeper rejects a Provider without a CA certificate, and before the service starts for the first time there is none. An
installation therefore uses a certificate whose key was destroyed, so that nothing is trusted until the service sets its own.
Upgrades use the one that the service published.
*/}}
{{- define "image-swapper.providerCaBundle" -}}
{{- .Values.tls.caBundle | default (include "image-swapper.publishedCa" .) | default (.Files.Get "files/no-authority.pem") | b64enc }}
{{- end }}

{{- define "image-swapper.webhookAnnotations" -}}
{{- $annotations := deepCopy (.Values.policies.annotations | default dict) }}
{{- if and (eq (include "image-swapper.tlsMode" .) "certManager") (not .Values.tls.caBundle) }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "image-swapper.tlsSecretName" .)) }}
{{- end }}
{{- with $annotations }}{{ toYaml . }}{{ end }}
{{- end }}

{{/*
Fails, with the remedy, if the engine does not support the values or is not installed. Applies to policies that the chart
renders and to those that the service manages.
*/}}
{{- define "image-swapper.checkEngine" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- $isHttps := hasPrefix "https:" (include "image-swapper.url" .) }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- if $facts.httpsOnly }}
{{- if eq $mode "disabled" }}{{ fail (printf "tls.mode: disabled works only with Kyverno; %s calls only https: choose selfSigned" $engine) }}{{ end }}
{{- if not $isHttps }}{{ fail (printf "policies.url: %s calls only https" $engine) }}{{ end }}
{{- end }}
{{- include "image-swapper.requireAuthority" . }}
{{- if and $facts.maxTimeout (gt (include "image-swapper.timeout" . | int) (int $facts.maxTimeout)) }}{{ fail (printf "policies.timeoutSeconds: the maximum is %d with %s, %s" (int $facts.maxTimeout) $engine $facts.whyMaxTimeout) }}{{ end }}
{{- if $facts.imagesOnly }}{{ include "image-swapper.checkExpressions" . }}{{ end }}
{{- if and $facts.name (not $facts.startsCopies) }}
{{- if and (eq (toString (dig "reconcile" "enabled" true (.Values.config | default dict))) "false") (without (include "image-swapper.copyPolicies" . | fromJsonArray) "none") }}
{{- fail (printf "config.reconcile.enabled: is false, but policies.engine is %s: nothing would ever be copied, because %s never requests a copy: set it to true, or config.imageCopyPolicy=none" $engine $facts.title) }}
{{- end }}
{{- else if and (ne $engine "none") (not (include "image-swapper.manage" .)) }}{{ include "image-swapper.checkDeadline" . }}
{{- end }}
{{- if include "image-swapper.manage" . }}{{ include "image-swapper.checkManaged" . }}{{ end }}
{{- include "image-swapper.requireApi" . }}
{{- if $facts.requires }}{{ include $facts.requires . }}{{ end }}
{{- if not (include "image-swapper.manage" .) }}{{ include "image-swapper.requireUnmanaged" . }}{{ end }}
{{- end }}

{{/* policies.table: fails unless the service can write the table, and the engine reads it. */}}
{{- define "image-swapper.checkTable" -}}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- if not (hasSuffix "/table" ($facts.name | default "")) }}{{ fail (printf "policies.table: is true, but policies.engine is %s, which does not read a table of images: leave it out, or set policies.engine=kyverno" (include "image-swapper.engine" .)) }}{{ end }}
{{- if not (include "image-swapper.manage" .) }}{{ fail "policies.table: requires policies.manage=true: the service writes the table" }}{{ end }}
{{- end }}

{{/* Rejects a certificate from elsewhere if its CA certificate is missing. */}}
{{- define "image-swapper.requireAuthority" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- $mode := include "image-swapper.tlsMode" . }}
{{- $isHttps := hasPrefix "https:" (include "image-swapper.url" .) }}
{{- $service := (include "image-swapper.urlService" . | fromJson).name }}
{{- if and (has $mode (list "certManager" "existingSecret")) (not .Values.tls.caBundle) }}
{{- if include "image-swapper.manage" . }}
{{- $secret := dict }}
{{- if eq $mode "existingSecret" }}{{ $secret = lookup "v1" "Secret" .Release.Namespace .Values.tls.existingSecret }}{{ end }}
{{- $beside := eq (include "image-swapper.caFile" .) "/etc/image-swapper-tls/ca.crt" }}
{{- if and $secret $beside (not (dig "data" "ca.crt" "" $secret)) }}
{{- fail (printf "tls.caBundle: the Secret %s has no ca.crt: add the CA certificate (PEM) to it, or set it here, for the policies of %s: --set-file tls.caBundle=ca.crt" .Values.tls.existingSecret $engine) }}
{{- end }}
{{- else if or $facts.needsAuthority (and $facts.readsConfigMap $isHttps (not .Values.tls.caConfigMap.name)) (and $facts.authorityIsInjected (eq $mode "existingSecret") $service) }}
{{- fail (printf "tls.caBundle: with tls.mode %s, set the CA certificate (PEM) for the %s%s, or choose tls.mode selfSigned: --set-file tls.caBundle=ca.crt" $mode $facts.authorityCarrier (ternary ", or tls.caConfigMap.name" "" $facts.readsConfigMap)) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Gatekeeper sends only images, so the service rejects every expression that needs more. This rejects those that certainly
do, so that `helm install` fails instead of the Pods.
*/}}
{{- define "image-swapper.checkExpressions" -}}
{{- $config := .Values.config | default dict }}
{{- if not (include "image-swapper.manage" .) }}
{{- range $index, $filter := dig "source" "filters" list $config | default list }}
{{- if include "image-swapper.readsPod" (toString $filter.jmespath) }}
{{- fail (printf "config.source.filters[%d]: Gatekeeper sends only images, so the service cannot decide %s and nothing would ever be swapped: set policies.manage=true (the service then writes Gatekeeper's policies, including conditions on namespaces and labels), or use only container.image, or choose another engine: kyverno, kyverno-clusterpolicy, webhook" $index (quote $filter.jmespath)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $index, $target := $config.targets | default list }}
{{- if include "image-swapper.readsPod" (toString $target.match) }}
{{- fail (printf "config.targets[%d].match: Gatekeeper sends only images, so the service cannot decide %s and nothing would ever be swapped: use only container.image, or choose another engine: kyverno, kyverno-clusterpolicy, webhook" $index (quote $target.match)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the expression reads `obj`, or a field of `container` other than the image. Ignores literals. */}}
{{- define "image-swapper.readsPod" -}}
{{- $bare := regexReplaceAll "'(?:[^'\\\\]|\\\\.)*'|`(?:[^`\\\\]|\\\\.)*`" . "''" }}
{{- $bare = regexReplaceAll "\\bcontainer\\s*\\.\\s*image\\b" $bare "''" }}
{{- if regexMatch "(?:^|[^.\\w\\s])\\s*(?:obj|container)\\s*(?:[^\\w\\s:]|$)" $bare }}true{{ end }}
{{- end }}

{{/* Rejects values that cannot be combined with policies.manage. */}}
{{- define "image-swapper.checkManaged" -}}
{{- if eq (include "image-swapper.engine" .) "none" }}{{ fail "policies.manage: requires an engine, but policies.engine is none: name an engine" }}{{ end }}
{{- $policies := .Values.policies }}
{{- $webhook := .Values.webhook }}
{{- $given := dict
  "policies.timeoutSeconds" $policies.timeoutSeconds
  "policies.annotations" $policies.annotations
  "policies.ephemeralContainers" $policies.ephemeralContainers
  "webhook.timeoutSeconds" $webhook.timeoutSeconds
  "webhook.reinvocationPolicy" (ne $webhook.reinvocationPolicy "IfNeeded")
  "webhook.namespaceSelector" $webhook.namespaceSelector
  "webhook.objectSelector" $webhook.objectSelector }}
{{- range $value := keys $given | sortAlpha }}
{{- if get $given $value }}
{{- fail (printf "%s: cannot be combined with policies.manage, with which the service writes policies with its own defaults: leave it out, and exclude Pods with policies.excludedNamespaces or config.source.filters; or set policies.manage=false" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The containers of Kyverno's admission controllers in the cluster, as a JSON list of {namespace, version, container}. The
version is the image's, because the labels contain the version of Kyverno's chart.
*/}}
{{- define "image-swapper.kyvernoContainers" -}}
{{- $found := list }}
{{- range $namespace := .Values.networkPolicy.engineNamespaces | default (list "kyverno") }}
{{- $deployment := lookup "apps/v1" "Deployment" $namespace "kyverno-admission-controller" | default dict }}
{{- range dig "spec" "template" "spec" "containers" list $deployment }}
{{- $version := regexFind ":v?[0-9]+\\.[0-9]+\\.[0-9]+" .image | trimAll ":v" }}
{{- if and (eq .name "kyverno") $version }}
{{- $found = append $found (dict "namespace" $namespace "version" $version "container" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/*
Rejects a Kyverno whose image is too old for MutatingPolicy, and a 1.18 without its own list of blocked addresses: by
default, 1.18 does not let policies call any Service.
*/}}
{{- define "image-swapper.requireKyverno" -}}
{{- range include "image-swapper.kyvernoContainers" . | fromJsonArray }}
{{- $namespace := .namespace }}
{{- $version := .version }}
{{- $found := printf "Deployment %s/kyverno-admission-controller is %s" $namespace $version }}
{{- if semverCompare "<1.18.0-0" $version }}
{{- fail (printf "policies.engine: kyverno needs Kyverno 1.19 or newer (or 1.18 with a custom httpBlocklist), but %s: upgrade Kyverno, or --set policies.engine=kyverno-clusterpolicy" $found) }}
{{- end }}
{{- $told := or (contains "--httpBlocklist=" (join " " .container.args)) (contains "FLAG_HTTP_BLOCKLIST" (toJson .container.env)) }}
{{- if and (semverCompare "<1.19.0-0" $version) (not $told) (contains ".svc" (include "image-swapper.url" $)) }}
{{- fail (printf "policies.engine: kyverno: %s, which blocks calls from policies to Services by default; change its httpBlocklist: helm upgrade kyverno kyverno/kyverno -n %s --reuse-values --version '3.8.*' --set \"admissionController.container.extraArgs.httpBlocklist=%s\"; or upgrade Kyverno to 1.19 or newer" $found $namespace "127.0.0.0/8\\,::1/128\\,169.254.0.0/16\\,fe80::/10\\,fd00:ec2::254/128\\,metadata.google.internal") }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rejects a Kyverno that does not accept new ClusterPolicies. On an upgrade, an existing one may stay unchanged. */}}
{{- define "image-swapper.requireClusterPolicy" -}}
{{- if .Release.IsInstall }}
{{- range include "image-swapper.kyvernoContainers" . | fromJsonArray }}
{{- if semverCompare ">=1.20.0-0" .version }}
{{- fail (printf "policies.engine: kyverno-clusterpolicy: Deployment %s/kyverno-admission-controller is %s, and Kyverno 1.20 or newer refuses to create a ClusterPolicy: --set policies.engine=kyverno" .namespace .version) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rejects names that the service's own policies already have: Helm does not take over objects of others. */}}
{{- define "image-swapper.requireUnmanaged" -}}
{{- $found := dict }}
{{- $kinds := list }}
{{- range include "image-swapper.policyKinds" . | fromYamlArray }}
{{- if .current }}
{{- $kinds = prepend $kinds (printf "%s.%s" .resource .group) }}
{{- $live := lookup .apiVersion .kind "" (first .names) | default dict }}
{{- if eq (dig "metadata" "labels" "app.kubernetes.io/managed-by" "" $live) "image-swapper" }}{{ $found = $live }}{{ end }}
{{- end }}
{{- end }}
{{- if $found }}
{{- $selector := printf "app.kubernetes.io/managed-by=image-swapper,image-swapper.io/instance=%s" (dig "metadata" "labels" "image-swapper.io/instance" "" $found) }}
{{- fail (printf "policies.manage: the service wrote %s %s itself (policies.manage was true), and Helm cannot take over objects. Stop the service and delete its policies, then upgrade again: kubectl -n %s scale deploy/%s --replicas=0 && kubectl delete %s -l %s (the same as image-swapper policies --delete-managed)" $found.kind $found.metadata.name .Release.Namespace (include "image-swapper.fullname" .) (join "," $kinds) $selector) }}
{{- end }}
{{- end }}

{{/*
Rejects policies with a table of images that this release's service wrote while policies.manage was true: without it nobody
removes images from the table that the targets lose, and the service may no longer delete the policies.
*/}}
{{- define "image-swapper.requireNoTable" -}}
{{- $lease := (include "image-swapper.config" . | fromYaml).lease }}
{{- $owner := printf "%s/%s" ($lease.namespace | default .Release.Namespace) $lease.name }}
{{- range $facts := include "image-swapper.engines" . | fromJsonArray }}
{{- if and $facts.managedOnly (not (contains "/" $facts.name)) }}
{{- range $facts.kinds }}
{{- if $.Capabilities.APIVersions.Has (printf "%s/%s" .apiVersion .kind) }}
{{- $live := lookup .apiVersion .kind "" (first .names) | default dict }}
{{- $isManaged := eq (dig "metadata" "labels" "app.kubernetes.io/managed-by" "" $live) "image-swapper" }}
{{- if and $isManaged (eq (dig "metadata" "annotations" "image-swapper.io/lease" "" $live) $owner) }}
{{- $selector := printf "app.kubernetes.io/managed-by=image-swapper,image-swapper.io/instance=%s" (dig "metadata" "labels" "image-swapper.io/instance" "" $live) }}
{{- $plurals := list }}{{ range $facts.kinds }}{{ $plurals = prepend $plurals (printf "%s.%s" .resource .group) }}{{ end }}
{{- fail (printf "policies.manage: is false, but %s %s has a table of images that only the service with policies.manage=true keeps: it would swap Pods to images that the target loses. First upgrade with policies.manage=true and the other engine, or stop the service and delete the policies: kubectl -n %s scale deploy/%s --replicas=0 && kubectl delete %s -l %s" .kind (first .names) $.Release.Namespace (include "image-swapper.fullname" $) (join "," $plurals) $selector) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rejects an engine that is not installed, except in `helm template`, which has no cluster to ask. */}}
{{- define "image-swapper.requireApi" -}}
{{- $facts := include "image-swapper.engineFacts" . | fromJson }}
{{- if and $facts.api (lookup "v1" "Namespace" "" "kube-system") (not (.Capabilities.APIVersions.Has ($facts.api | default ""))) }}
{{- fail (printf "policies.engine: this cluster does not have %s. Install %s; or choose another engine: --set policies.engine=webhook works without one." $facts.api $facts.install) }}
{{- end }}
{{- end }}

{{/* Whether the plain HTTP port is open. */}}
{{- define "image-swapper.plainHttp" -}}
{{- $given := .Values.plainHttp.enabled | toString }}
{{- if eq (include "image-swapper.tlsMode" .) "disabled" }}true
{{- else if eq $given "true" }}true
{{- else if and (eq $given "auto") (hasPrefix "http:" (include "image-swapper.url" .)) }}true
{{- end }}
{{- end }}
