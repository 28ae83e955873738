# A cluster whose Pods have Workload Identity and whose nodes may pull, together with the module, Kyverno and the service.
# For an existing cluster, only the three marked settings matter.

variable "project_id" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "Region of the cluster and the repository."
  type        = string
  default     = "europe-west1"
}

variable "chart_repository" {
  description = "Location of the chart: a chart repository, or oci:// and its registry."
  type        = string
}

resource "google_service_account" "nodes" {
  project      = var.project_id
  account_id   = "gke-nodes"
  display_name = "Nodes of the cluster"
}

resource "google_container_cluster" "main" {
  project                  = var.project_id
  name                     = "main"
  location                 = var.region
  remove_default_node_pool = true
  initial_node_count       = 1

  # 1: Pods can act as Google service accounts.
  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }
}

resource "google_container_node_pool" "main" {
  project    = var.project_id
  name       = "main"
  location   = var.region
  cluster    = google_container_cluster.main.name
  node_count = 1

  node_config {
    machine_type    = "e2-standard-2"
    service_account = google_service_account.nodes.email

    # 2: nodes pull from Artifact Registry with this scope; the module grants the role reader.
    oauth_scopes = [
      "https://www.googleapis.com/auth/devstorage.read_only",
      "https://www.googleapis.com/auth/logging.write",
      "https://www.googleapis.com/auth/monitoring",
    ]

    # 3: Pods use GKE's metadata server instead of the node's.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

module "image_swapper" {
  source = "../.."

  project_id            = var.project_id
  location              = var.region
  node_service_accounts = [google_service_account.nodes.email]
}

data "google_client_config" "current" {}

provider "helm" {
  kubernetes = {
    host                   = "https://${google_container_cluster.main.endpoint}"
    token                  = data.google_client_config.current.access_token
    cluster_ca_certificate = base64decode(google_container_cluster.main.master_auth[0].cluster_ca_certificate)
  }
}

# The engine that sends Pods to the service: its kinds must exist before the chart's policies. Kyverno 1.19 or newer.
resource "helm_release" "kyverno" {
  name             = "kyverno"
  repository       = "https://kyverno.github.io/kyverno"
  chart            = "kyverno"
  namespace        = "kyverno"
  create_namespace = true

  depends_on = [google_container_node_pool.main]
}

resource "helm_release" "image_swapper" {
  name             = "image-swapper"
  repository       = var.chart_repository
  chart            = "image-swapper"
  namespace        = "image-swapper"
  create_namespace = true

  values = [yamlencode({
    config = { target = module.image_swapper.target }
    serviceAccount = {
      annotations = { "iam.gke.io/gcp-service-account" = module.image_swapper.service_account_email }
    }
    policies = { engine = "kyverno" }
  })]

  depends_on = [helm_release.kyverno]
}

output "target" {
  description = "The target of image-swapper's configuration."
  value       = module.image_swapper.target
}
