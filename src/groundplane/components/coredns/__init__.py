"""CoreDNS: the cluster's names, kept away from a single node."""
