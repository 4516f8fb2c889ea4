"""Endpoints of the primary's and the replicas' Services: EndpointSlices that the operator itself writes."""

from __future__ import annotations

from collections.abc import Sequence

from .. import objects
from ..objects import Manifest
from ..pods import Pod
from .manifests import REDIS_PORT
from .spec import RedisSpec


def primary_slice(spec: RedisSpec, *primary: Pod) -> Manifest:
    """Build the slice through which clients of NAME-primary reach this pod."""
    return endpoint_slice(spec, f"{spec.name}-primary", primary)


def replicas_slice(spec: RedisSpec, replicas: Sequence[Pod]) -> Manifest:
    """Build the slice through which clients of NAME-replicas reach these pods."""
    return endpoint_slice(spec, f"{spec.name}-replicas", sorted(replicas, key=lambda pod: pod.name))


def endpoint_slice(spec: RedisSpec, service: str, pods: Sequence[Pod]) -> Manifest:
    """Build the one slice of a Service without a selector; it has the Service's name."""
    body = objects.named(spec, "discovery.k8s.io/v1", "EndpointSlice", service)
    body["metadata"]["labels"] |= {
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "caplab-operator",
    }
    return {
        **body,
        "addressType": "IPv4",
        "endpoints": [_endpoint(spec, pod) for pod in pods if pod.address],
        "ports": [{"name": "redis", "port": REDIS_PORT, "protocol": "TCP"}],
    }


def _endpoint(spec: RedisSpec, pod: Pod) -> Manifest:
    endpoint: Manifest = {
        "addresses": [pod.address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "name": pod.name, "namespace": spec.namespace, "uid": pod.uid},
    }
    if pod.node:
        endpoint["nodeName"] = pod.node
    if pod.zone:
        endpoint["zone"] = pod.zone
    return endpoint
