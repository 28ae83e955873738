# The repository that images are mirrored to, the identity with which image-swapper pushes, and the identities that may pull.

locals {
  # Without create_repository the bindings are for the repository of that name.
  repository   = var.create_repository ? google_artifact_registry_repository.mirror[0].name : var.repository_id
  pool_project = var.workload_pool_project_id != "" ? var.workload_pool_project_id : var.project_id
  member       = "serviceAccount:${google_service_account.mirror.email}"
}

resource "google_project_service" "api" {
  for_each = toset(["artifactregistry.googleapis.com", "iamcredentials.googleapis.com"])

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "mirror" {
  count = var.create_repository ? 1 : 0

  project       = var.project_id
  location      = var.location
  repository_id = var.repository_id
  description   = "Images mirrored by image-swapper"
  format        = "DOCKER"
  kms_key_name  = var.kms_key_name != "" ? var.kms_key_name : null

  docker_config {
    immutable_tags = var.immutable_tags
  }

  dynamic "cleanup_policies" {
    for_each = var.delete_untagged_after != "" ? [1] : []
    content {
      id     = "delete-untagged"
      action = "DELETE"
      condition {
        tag_state  = "UNTAGGED"
        older_than = var.delete_untagged_after
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_service_account" "mirror" {
  project      = var.project_id
  account_id   = var.service_account_id
  display_name = "image-swapper"
  description  = "Mirrors images into ${var.repository_id}"
}

# The Pods of the ServiceAccount act as the Google service account (Workload Identity).
resource "google_service_account_iam_member" "workload_identity" {
  service_account_id = google_service_account.mirror.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${local.pool_project}.svc.id.goog[${var.namespace}/${var.kubernetes_service_account}]"
}

resource "google_artifact_registry_repository_iam_member" "writer" {
  project    = var.project_id
  location   = var.location
  repository = local.repository
  # The writer role cannot delete.
  role       = var.gc ? "roles/artifactregistry.repoAdmin" : "roles/artifactregistry.writer"
  member     = local.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  for_each = var.node_service_accounts

  project    = var.project_id
  location   = var.location
  repository = local.repository
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${each.value}"
}

resource "google_artifact_registry_repository_iam_member" "sources" {
  for_each = { for source in var.source_repositories : "${source.project}/${source.location}/${source.repository}" => source }

  project    = each.value.project
  location   = each.value.location
  repository = each.value.repository
  role       = "roles/artifactregistry.reader"
  member     = local.member
}

resource "google_artifact_registry_repository_iam_member" "settings" {
  count = var.manage_settings ? 1 : 0

  project    = var.project_id
  location   = var.location
  repository = local.repository
  role       = "roles/artifactregistry.admin"
  member     = local.member
}

# The permissions to create a repository and to watch its creation, and nothing else of roles/artifactregistry.admin.
resource "google_project_iam_custom_role" "create" {
  count = var.manage_repository ? 1 : 0

  project     = var.project_id
  role_id     = "imageSwapperCreateRepository"
  title       = "image-swapper: create repositories"
  permissions = ["artifactregistry.repositories.create", "artifactregistry.repositories.get"]
}

resource "google_project_iam_member" "create" {
  count = var.manage_repository ? 1 : 0

  project = var.project_id
  role    = google_project_iam_custom_role.create[0].name
  member  = local.member
}
