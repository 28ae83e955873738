variable "project_id" {
  description = "Project of the repository and of the service account (target.gcp.projectId)."
  type        = string
}

variable "location" {
  description = "Location of the repository (target.gcp.location): a region, or us, europe, asia."
  type        = string
}

variable "repository_id" {
  description = "The repository that all images go to (target.gcp.repositoryId)."
  type        = string
  default     = "mirror"
}

variable "create_repository" {
  description = "Create the repository here. False: it already exists, or image-swapper creates it (target.gcp.createRepository)."
  type        = bool
  default     = true
}

variable "kms_key_name" {
  description = "Cloud KMS key of the repository, in its location. Empty: a key that Google manages."
  type        = string
  default     = ""
}

variable "immutable_tags" {
  description = "Make tags immutable."
  type        = bool
  default     = false
}

variable "delete_untagged_after" {
  description = "Age at which versions without a tag are deleted, such as 2592000s. Images that Pods use by digest have a tag from image-swapper. Empty: never."
  type        = string
  default     = ""
}

variable "service_account_id" {
  description = "Name of the Google service account that image-swapper acts as."
  type        = string
  default     = "image-swapper"
}

variable "workload_pool_project_id" {
  description = "Project of the cluster; its workload identity pool is PROJECT.svc.id.goog. Empty: project_id."
  type        = string
  default     = ""
}

variable "namespace" {
  description = "Namespace of image-swapper."
  type        = string
  default     = "image-swapper"
}

variable "kubernetes_service_account" {
  description = "ServiceAccount of image-swapper; annotate it with iam.gke.io/gcp-service-account and the output service_account_email."
  type        = string
  default     = "image-swapper"
}

variable "node_service_accounts" {
  description = "Email addresses of the node pools' service accounts, with which nodes pull the mirrored images."
  type        = set(string)
  default     = []
}

variable "source_repositories" {
  description = "Other repositories of Artifact Registry that images come from, as {project, location, repository}."
  type = set(object({
    project    = string
    location   = string
    repository = string
  }))
  default = []
}

variable "manage_settings" {
  description = "Let image-swapper maintain the repository's settings and readers (target.gcp.repository, cleanupPolicies, readers)."
  type        = bool
  default     = false
}

variable "manage_repository" {
  description = "Let image-swapper create the repository (target.gcp.createRepository: true); this grants a role on the whole project."
  type        = bool
  default     = false
}

variable "gc" {
  description = "Let `image-swapper gc` and gc.enabled delete mirrored images that no cluster uses."
  type        = bool
  default     = false
}

variable "private_control_plane" {
  description = "For a private GKE cluster without an engine: its network, the control plane's range and the nodes' tags. See firewall.tf."
  type = object({
    network                = string
    master_ipv4_cidr_block = string
    node_tags              = list(string)
  })
  default = null
}
