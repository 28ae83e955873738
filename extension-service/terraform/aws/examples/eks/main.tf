# image-swapper in an existing EKS cluster: its role by IRSA, the nodes' right to pull, Kyverno and the chart. The helm
# provider finds the cluster by KUBE_CONFIG_PATH, or by a block `provider "helm"` of yours.

variable "oidc_provider_arn" {
  description = "The cluster's OpenID Connect provider."
  type        = string
}

variable "node_role_name" {
  description = "Role of the cluster's nodes, which pull the mirrored images."
  type        = string
}

variable "chart_repository" {
  description = "Location of the chart: a chart repository, or oci:// and its registry."
  type        = string
}

variable "install_kyverno" {
  description = "False: the cluster already has Kyverno 1.19 or newer."
  type        = bool
  default     = true
}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

module "image_swapper" {
  source = "../.."

  # True also while the ARN is unknown, so that module.eks.oidc_provider_arn of the same configuration works.
  irsa              = true
  oidc_provider_arn = var.oidc_provider_arn
}

resource "aws_iam_role_policy_attachment" "nodes" {
  role       = var.node_role_name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
}

# The engine that sends Pods to the service: its kinds must be there before the chart's policies.
resource "helm_release" "kyverno" {
  count = var.install_kyverno ? 1 : 0

  name             = "kyverno"
  repository       = "https://kyverno.github.io/kyverno"
  chart            = "kyverno"
  namespace        = "kyverno"
  create_namespace = true
}

resource "helm_release" "image_swapper" {
  name             = "image-swapper"
  repository       = var.chart_repository
  chart            = "image-swapper"
  namespace        = "image-swapper"
  create_namespace = true

  # Account numbers may begin with a zero: as text they keep it.
  values = [yamlencode({
    config = {
      target = {
        type = "aws"
        aws = {
          accountId = data.aws_caller_identity.current.account_id
          region    = data.aws_region.current.id
        }
      }
    }
    serviceAccount = {
      annotations = { "eks.amazonaws.com/role-arn" = module.image_swapper.role_arn }
    }
    policies = { engine = "kyverno" }
  })]

  depends_on = [helm_release.kyverno]
}
