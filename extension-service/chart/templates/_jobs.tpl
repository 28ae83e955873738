{{- define "image-swapper.prewarmJob" -}}
backoffLimit: 3
{{- with .Values.prewarm.ttlSecondsAfterFinished }}
ttlSecondsAfterFinished: {{ int . }}
{{- end }}
template:
  {{- include "image-swapper.jobPod" (dict "root" . "component" "prewarm" "args" (list "prewarm") "account" (include "image-swapper.serviceAccountName" .) "resources" (.Values.prewarm.resources | default .Values.resources)) | trim | nindent 2 }}
{{- end }}

{{/* The Pod of a Job that runs one command of image-swapper: {root, component, args, account, resources}. */}}
{{- define "image-swapper.jobPod" -}}
{{- $values := .root.Values }}
metadata:
  labels:
    {{- include "image-swapper.labelsAnd" (list .root (include "image-swapper.registryPodLabels" .root | fromYaml)) | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  restartPolicy: Never
  {{- with include "image-swapper.imagePullSecrets" .root }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  serviceAccountName: {{ .account }}
  {{- with include "image-swapper.podRuntime" .root }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with $values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: image-swapper
      image: {{ include "image-swapper.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      {{- with $values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      args:
        {{- toYaml .args | nindent 8 }}
        - --config={{ include "image-swapper.configFile" .root }}
      env:
        {{- include "image-swapper.env" .root | nindent 8 }}
        {{- with include "image-swapper.heap" (dict "root" .root "resources" .resources) }}
        {{- . | trim | nindent 8 }}
        {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: {{ include "image-swapper.configFile" .root | dir }}
          readOnly: true
        {{- with include "image-swapper.extraCaMount" .root }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "image-swapper.configVolume" .root | nindent 4 }}
    {{- with include "image-swapper.extraCaVolume" .root }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Annotations of objects that exist only while the release is uninstalled. */}}
{{- define "image-swapper.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* The given policy, changed so that it refuses no Pods. */}}
{{- define "image-swapper.opened" -}}
{{- $text := toYaml . }}
{{- $text | replace "failurePolicy: Fail" "failurePolicy: Ignore" }}
{{- end }}
