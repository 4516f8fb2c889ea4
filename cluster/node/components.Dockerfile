# The images that a kubeadm node runs, one target each: a Go binary from scratch,
# or (nodenet) what needs iptables and a shell as well.
# Built by caplab_cluster.node_image, whose context is the folder of built binaries.
ARG FROM_DEBIAN

FROM scratch AS kube-apiserver
COPY kube-apiserver /usr/local/bin/

FROM scratch AS kube-controller-manager
COPY kube-controller-manager /usr/local/bin/

FROM scratch AS kube-scheduler
COPY kube-scheduler /usr/local/bin/

FROM scratch AS etcd
COPY etcd /usr/local/bin/

FROM scratch AS coredns
COPY coredns /coredns
ENTRYPOINT ["/coredns"]

FROM scratch AS local-path-provisioner
COPY local-path-provisioner /usr/local/bin/

FROM ${FROM_DEBIAN} AS nodenet
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      catatonit conntrack iptables kmod nftables iproute2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/*

FROM scratch AS pause
COPY --from=nodenet /usr/bin/catatonit /pause
ENTRYPOINT ["/pause", "-P"]

# kube-proxy, the pod routes and the volume helper: one image, so one set of layers.
FROM nodenet AS node
COPY kube-proxy podroutes /usr/local/bin/
