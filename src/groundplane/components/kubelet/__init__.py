"""The kubelet: its unit on a node, and the certificate it serves with."""
