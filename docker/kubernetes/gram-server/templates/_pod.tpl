{{/* What the pods of API and workers share. */}}

{{/* The secret with the URL of Redis. */}}
{{- define "gram.redisSecret" -}}
{{- $redis := .Values.redis -}}
{{- $sources := 0 -}}
{{- if $redis.url }}{{ $sources = add1 $sources }}{{ end -}}
{{- if $redis.existingSecret.name }}{{ $sources = add1 $sources }}{{ end -}}
{{- if $redis.bundled.enabled }}{{ $sources = add1 $sources }}{{ end -}}
{{- if ne (int $sources) 1 }}
{{- fail "name exactly one of redis.url, redis.existingSecret.name and redis.bundled.enabled" }}
{{- end -}}
name: {{ default (printf "%s-redis-url" (include "gram.fullname" .)) $redis.existingSecret.name }}
key: {{ if $redis.existingSecret.name }}{{ $redis.existingSecret.key }}{{ else }}url{{ end }}
{{- end }}

{{/* Takes a list: the context, the component, and its values. */}}
{{- define "gram.podSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
serviceAccountName: {{ include "gram.serviceAccount" $root }}
automountServiceAccountToken: false
# Kubernetes would put GRAM_SERVER_PORT=tcp://… beside a service called gram-server: an unknown setting.
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range default (list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway")) $values.topologySpreadConstraints }}
  - {{- toYaml . | nindent 4 }}
    labelSelector:
      matchLabels:
        {{- include "gram.selector" (list $root $component) | nindent 8 }}
  {{- end }}
{{- end }}

{{/* Takes a list: the context, the component, and its values. */}}
{{- define "gram.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
labels:
  {{- include "gram.labels" (list $root (index . 1)) | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Settings are read at the start: pods are replaced when they change.
  checksum/settings: {{ include (print $root.Template.BasePath "/settings.yaml") $root | sha256sum }}
  checksum/redis: {{ include (print $root.Template.BasePath "/redis-url.yaml") $root | sha256sum }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The environment of both; entries of a component stand before it. */}}
{{- define "gram.environment" -}}
- name: GRAM_SERVER_STORE
  valueFrom:
    secretKeyRef:
      {{- include "gram.redisSecret" . | nindent 6 }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "gram.environmentFrom" -}}
- configMapRef:
    name: {{ include "gram.fullname" . }}
{{- end }}

{{/* Mounts of both; those of a component stand behind them. */}}
{{- define "gram.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes the strategy of the values. Recreate allows no part of the default beside it. */}}
{{- define "gram.strategy" -}}
{{- $type := default "RollingUpdate" .type -}}
type: {{ $type }}
{{- if and (eq $type "RollingUpdate") .rollingUpdate }}
rollingUpdate:
  {{- toYaml .rollingUpdate | nindent 2 }}
{{- end }}
{{- end }}
