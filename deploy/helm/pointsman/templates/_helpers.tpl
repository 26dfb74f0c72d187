{{- define "pointsman.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "pointsman.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pointsman.labels" -}}
{{ include "pointsman.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pointsman.account" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "pointsman.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end -}}

{{/* A file's path as a key of a ConfigMap, which takes no slashes. */}}
{{- define "pointsman.key" -}}
{{- . | replace "/" "__" -}}
{{- end -}}

{{/* A container of the project: of `run`, and of `apply` before it. */}}
{{- define "pointsman.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: POINTSMAN_INSTANCE # part of transactional ids: the same after a restart, so that it fences its predecessor
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  - name: HTTP_LISTEN
    value: "0.0.0.0:{{ .Values.port }}"
  {{- if .Values.collectors.enabled }}
  - name: COLLECTOR_LISTEN
    value: "0.0.0.0:{{ .Values.collectors.port }}"
  {{- end }}
  {{- range $name, $value := .Values.environment }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- with .Values.secrets.environment }}
envFrom:
  {{- range . }}
  - secretRef: { name: {{ . | quote }} }
  {{- end }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  {{- if .Values.project.files }}
  - { name: project, mountPath: /etc/pointsman, readOnly: true }
  {{- end }}
  {{- if .Values.secrets.files }}
  - { name: secrets, mountPath: /run/secrets, readOnly: true }
  {{- end }}
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
