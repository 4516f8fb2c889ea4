{{/* The settings of an S3-compatible bucket, as entries of env; empty if results are on a volume. */}}
{{- define "caplab.bucket" -}}
{{- if .url }}
{{- with .endpoint }}
- name: CAPLAB_S3_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .region }}
- name: CAPLAB_S3_REGION
  value: {{ . | quote }}
{{- end }}
{{- if .secret }}
{{- range $name := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ $.secret | quote }}
      key: {{ $name | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
