{{/* Prometheus' configuration: files/prometheus.yaml, without the exporters' jobs if there are no exporters. */}}
{{- define "caplab.prometheus" -}}
{{- $config := .Files.Get "files/prometheus.yaml" | fromYaml }}
{{- $jobs := list }}
{{- range $config.scrape_configs }}
{{- if or $.Values.exporters.enabled (not (has .job_name (list "caplab-postgres" "caplab-redis" "caplab-cassandra" "caplab-exporter"))) }}
{{- $jobs = append $jobs . }}
{{- end }}
{{- end }}
{{- toYaml (set $config "scrape_configs" $jobs) }}
{{- end }}
