# A private GKE cluster's control plane reaches the nodes on ports 443 and 10250 only. Where kube-apiserver itself calls
# image-swapper (MutatingWebhookConfiguration, the engine `webhook`), it needs port 8443 too, or every call times out.
#
# With Kyverno or Gatekeeper it is the engine's Pods that call image-swapper, inside of the cluster: leave
# private_control_plane out. The engine's own webhooks need such a rule for the engine's own port then (Kyverno 9443,
# Gatekeeper 8443), which their installation guides have.
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
