"""PostgreSQL under Patroni, with Kubernetes as its configuration store."""
