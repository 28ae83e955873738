output "service_account_email" {
  description = "For the ServiceAccount's annotation iam.gke.io/gcp-service-account."
  value       = google_service_account.mirror.email
}

output "registry" {
  description = "Prefix of mirrored images, followed by the source's name."
  value       = "${var.location}-docker.pkg.dev/${replace(var.project_id, ":", "/")}/${var.repository_id}"
}

output "target" {
  description = "The target of image-swapper's configuration."
  value = {
    type = "gcp"
    gcp = {
      location     = var.location
      projectId    = var.project_id
      repositoryId = var.repository_id
    }
  }
}
