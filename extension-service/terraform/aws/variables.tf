variable "name" {
  description = "Name of the role and its policies."
  type        = string
  default     = "image-swapper"
}

variable "prefix" {
  description = "The target's prefix (target.aws.prefix); the permissions are limited to repositories under it. Empty: all repositories of the registry."
  type        = string
  default     = ""

  validation {
    condition     = !startswith(var.prefix, "/") && !endswith(var.prefix, "/")
    error_message = "The prefix must not begin or end with a slash."
  }
}

variable "registry_account_id" {
  description = "Account of the ECR registry. Empty: the account of the provider."
  type        = string
  default     = ""
}

variable "registry_region" {
  description = "Region of the ECR registry. Empty: the region of the provider."
  type        = string
  default     = ""
}

variable "repository_mode" {
  description = "The target's repositories.mode: api, createOnPush or preexisting."
  type        = string
  default     = "api"

  validation {
    condition     = contains(["api", "createOnPush", "preexisting"], var.repository_mode)
    error_message = "The mode must be api, createOnPush or preexisting."
  }
}

variable "source_registries" {
  description = "ARN patterns of private ECR repositories that images come from, such as arn:aws:ecr:us-east-1:210987654321:repository/*."
  type        = list(string)
  default     = []
}

variable "assume_role_arns" {
  description = "Roles that the service may assume: target.aws.role, and the role of a source. Their trust policies must name the output role_arn."
  type        = list(string)
  default     = []
}

variable "kms_key_arns" {
  description = "Keys of ecrOptions.encryptionConfiguration.kmsKey that are not AWS managed."
  type        = list(string)
  default     = []
}

variable "signing_profile_arns" {
  description = "AWS Signer profiles of the registry's managed signing, which signs on push with the service's identity. Empty: no signing."
  type        = list(string)
  default     = []
}

variable "gc" {
  description = "Let `image-swapper gc` and gc.enabled delete mirrored images that no cluster uses."
  type        = bool
  default     = false
}

variable "allow_check" {
  description = "Let `image-swapper check --online` read the registry's settings: managed signing, pull-time exclusions, creation templates."
  type        = bool
  default     = true
}

variable "namespace" {
  description = "Namespace of the service."
  type        = string
  default     = "image-swapper"
}

variable "service_account" {
  description = "Name of the service's ServiceAccount."
  type        = string
  default     = "image-swapper"
}

variable "irsa" {
  description = "Whether the role is for IAM roles for service accounts (IRSA). Set it to true when oidc_provider_arn is known only after apply, as for a cluster that the same configuration creates. Null: true if oidc_provider_arn is set."
  type        = bool
  default     = null
}

variable "oidc_provider_arn" {
  description = "The EKS cluster's OpenID Connect provider, for IRSA. Empty: no IRSA."
  type        = string
  default     = ""
}

variable "pod_identity" {
  description = "Whether the role is for EKS Pod Identity. Set it to true when pod_identity_cluster is known only after apply. Null: true if pod_identity_cluster is set."
  type        = bool
  default     = null
}

variable "pod_identity_cluster" {
  description = "Name of the EKS cluster, for EKS Pod Identity. Empty: no Pod Identity."
  type        = string
  default     = ""
}

variable "create_user" {
  description = "Create an IAM user instead, for clusters outside AWS (awsSecretName). Create its access key by hand, so that no state file contains it."
  type        = bool
  default     = false
}
