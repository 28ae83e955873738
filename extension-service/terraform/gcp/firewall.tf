# The control plane of a private GKE cluster only reaches the nodes on ports 443 and 10250. If kube-apiserver itself calls
# image-swapper (MutatingWebhookConfiguration, the engine `webhook`), it also needs port 8443; otherwise every call times out.
#
# With Kyverno or Gatekeeper, the engine's Pods call image-swapper from inside the cluster: omit private_control_plane. The
# engine's own webhooks then need such a rule for the engine's port (Kyverno 9443, Gatekeeper 8443), as described in their
# installation guides.
resource "google_compute_firewall" "control_plane" {
  count = var.private_control_plane == null ? 0 : 1

  project       = var.project_id
  name          = "image-swapper-control-plane"
  description   = "kube-apiserver calls image-swapper's webhook"
  network       = var.private_control_plane.network
  direction     = "INGRESS"
  source_ranges = [var.private_control_plane.master_ipv4_cidr_block]
  target_tags   = var.private_control_plane.node_tags

  allow {
    protocol = "tcp"
    ports    = ["8443"]
  }
}
