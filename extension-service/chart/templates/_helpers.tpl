{{/* The chart's name; an alias in a parent chart that cannot be part of an object's name, such as imageSwapper, is converted. */}}
{{- define "image-swapper.name" -}}
{{- $chart := .Chart.Name }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $chart) }}{{ $chart = regexReplaceAll "[^a-z0-9]+" (kebabcase $chart) "-" | trimAll "-" }}{{ end }}
{{- default $chart .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the objects: the release's name if it contains the chart's name, else both names. */}}
{{- define "image-swapper.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "image-swapper.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "image-swapper.labels" -}}
app.kubernetes.io/name: {{ include "image-swapper.name" . | quote }}
{{ include "image-swapper.policyLabels" . }}
{{- end }}

{{/* All labels except the name, which the renderer of the policies adds. */}}
{{- define "image-swapper.policyLabels" -}}
{{ include "image-swapper.releaseLabels" . }}
{{- include "image-swapper.usersLabels" (list .) }}
{{- end }}

{{- define "image-swapper.releaseLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* commonLabels, merged with the object's own labels (second in the list), which win; never the chart's own labels. */}}
{{- define "image-swapper.usersLabels" -}}
{{- $root := first . }}
{{- $more := last . }}
{{- $labels := dict }}
{{- range $key, $value := $root.Values.commonLabels }}{{ $_ := set $labels $key (tpl $value $root) }}{{ end }}
{{- if gt (len .) 1 }}{{ $labels = mergeOverwrite $labels ($more | default dict) }}{{ end }}
{{- range $key, $value := omit $labels "helm.sh/chart" "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "app.kubernetes.io/component" "reports.kyverno.io/disabled" }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* All labels of an object that can have its own: takes the list {root, labels}. */}}
{{- define "image-swapper.labelsAnd" -}}
app.kubernetes.io/name: {{ include "image-swapper.name" (first .) | quote }}
{{ include "image-swapper.releaseLabels" (first .) }}
{{- include "image-swapper.usersLabels" . }}
{{- end }}

{{/* Selects the service's Pods. Pods of Jobs have another component, so that the Service sends no requests to them. */}}
{{- define "image-swapper.selectorLabels" -}}
app.kubernetes.io/name: {{ include "image-swapper.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: service
{{- end }}

{{- define "image-swapper.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "image-swapper.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "image-swapper.imageRepository" -}}
{{- required "image.repository: is empty: leave it out for the image of this chart, or set the repository of a copy" .Values.image.repository }}
{{- end }}

{{/* The image. If global.imageRegistry is set, it replaces the host in the repository. */}}
{{- define "image-swapper.image" -}}
{{- $repository := include "image-swapper.imageRepository" . }}
{{- with (.Values.global | default dict).imageRegistry }}
{{- $parts := splitList "/" $repository }}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) }}{{ $parts = rest $parts }}{{ end }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) }}
{{- end }}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Pull secrets of this chart's own images, those of a parent chart (global) included: names, or mappings with a name. */}}
{{- define "image-swapper.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global | default dict).imagePullSecrets | default list) }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* DNS settings and the runtime of the Pods in this chart. */}}
{{- define "image-swapper.podRuntime" -}}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The container's environment: facts about the cluster, cloud credentials, and the user's own variables. */}}
{{- define "image-swapper.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.awsSecretName }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ ($.Values.awsSecretKeys | default dict).accessKeyID | default "aws_access_key_id" }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ ($.Values.awsSecretKeys | default dict).secretAccessKey | default "aws_secret_access_key" }}
{{- end }}
{{- if or .Values.awsSecretName (hasKey (.Values.serviceAccount.annotations | default dict) "eks.amazonaws.com/role-arn") }}
{{- /* A broken key or role must be an error, and not a silent change to the rights of the node. */}}
- name: AWS_EC2_METADATA_DISABLED
  value: "true"
{{- end }}
{{- with include "image-swapper.extraCaFile" . }}
- name: NODE_EXTRA_CA_CERTS
  value: {{ . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Node's maximum heap for a container with these resources: {root, resources}. The main thread and the background thread each
have a heap, which gets a third of the memory limit; buffers, code and TLS get the rest. Empty without a limit, or if extraEnv
sets NODE_OPTIONS.
*/}}
{{- define "image-swapper.heap" -}}
{{- $memory := ((.resources | default dict).limits | default dict).memory | default "" | toString }}
{{- $units := dict "" (divf 1 1048576) "k" (divf 1000 1048576) "Ki" (divf 1 1024) "M" (divf 1000000 1048576) "Mi" 1 "G" (divf 1000000000 1048576) "Gi" 1024 }}
{{- $given := false }}
{{- range .root.Values.extraEnv }}{{ if eq .name "NODE_OPTIONS" }}{{ $given = true }}{{ end }}{{ end }}
{{- if and (regexMatch "^[0-9]+(?:\\.[0-9]+)?(?:[kMG]|[KMG]i)?$" $memory) (not $given) }}
{{- $unit := regexFind "[A-Za-z]*$" $memory }}
{{- $heap := divf (mulf (trimSuffix $unit $memory | float64) (get $units $unit | float64)) 3 | floor | int }}
- name: NODE_OPTIONS
  value: "--max-old-space-size={{ $heap }}"
{{- end }}
{{- end }}

{{/* The path of the file with additional CA certificates; empty if there are none. */}}
{{- define "image-swapper.extraCaFile" -}}
{{- with .Values.extraCaCertificates }}
{{- if and .configMapName .secretName }}
{{- fail "extraCaCertificates: configMapName and secretName cannot be combined" }}
{{- end }}
{{- if or .configMapName .secretName -}}
/etc/image-swapper-extra-ca/{{ required "extraCaCertificates.key is required" .key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "image-swapper.extraCaMount" -}}
{{- with include "image-swapper.extraCaFile" . -}}
- name: extra-ca
  mountPath: {{ dir . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "image-swapper.extraCaVolume" -}}
{{- if include "image-swapper.extraCaFile" . -}}
- name: extra-ca
  {{- with .Values.extraCaCertificates }}
  {{- if .secretName }}
  secret:
    secretName: {{ .secretName }}
  {{- else }}
  configMap:
    name: {{ .configMapName }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "image-swapper.configVolume" -}}
- name: config
  configMap:
    name: {{ include "image-swapper.fullname" . }}
{{- end }}

{{/* The folder of the configuration in the container. A single mounted file (subPath) would never be updated. */}}
{{- define "image-swapper.configFile" -}}
/etc/image-swapper/image-swapper.yaml
{{- end }}

{{/* The constraints; one without a labelSelector, which would count no Pods, gets the selector of the service's Pods. */}}
{{- define "image-swapper.topologySpread" -}}
{{- $own := dict "matchLabels" (include "image-swapper.selectorLabels" . | fromYaml) }}
{{- with .Values.topologySpreadConstraints }}
{{- $constraints := list }}
{{- range . }}
{{- $constraint := . }}
{{- if kindIs "invalid" .labelSelector }}{{ $constraint = set (omit . "labelSelector") "labelSelector" $own }}{{ end }}
{{- $constraints = append $constraints $constraint }}
{{- end }}
{{- toYaml $constraints }}
{{- else -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "image-swapper.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}
