# IAM roles for service accounts: exactly this ServiceAccount, and tokens that are meant for STS.
data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = local.irsa ? [1] : []
    content {
      sid     = "ServiceAccount"
      actions = ["sts:AssumeRoleWithWebIdentity"]

      principals {
        type        = "Federated"
        identifiers = [var.oidc_provider_arn]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:sub"
        values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.pod_identity ? [1] : []
    content {
      sid     = "PodIdentity"
      actions = ["sts:AssumeRole", "sts:TagSession"]

      principals {
        type        = "Service"
        identifiers = ["pods.eks.amazonaws.com"]
      }
    }
  }
}

# The switches are known while the ARN and the name may still be unknown: the cluster can be made in the same apply.
locals {
  irsa         = var.irsa != null ? var.irsa : var.oidc_provider_arn != ""
  pod_identity = var.pod_identity != null ? var.pod_identity : var.pod_identity_cluster != ""
  create_role  = local.irsa || local.pod_identity
}

resource "aws_iam_role" "mirror" {
  count = local.create_role ? 1 : 0

  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "mirror" {
  count = local.create_role ? 1 : 0

  role       = aws_iam_role.mirror[0].name
  policy_arn = aws_iam_policy.mirror.arn
}

resource "aws_eks_pod_identity_association" "mirror" {
  count = local.pod_identity ? 1 : 0

  cluster_name    = var.pod_identity_cluster
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.mirror[0].arn
}

resource "aws_iam_user" "mirror" {
  count = var.create_user ? 1 : 0

  name = var.name
}

resource "aws_iam_user_policy_attachment" "mirror" {
  count = var.create_user ? 1 : 0

  user       = aws_iam_user.mirror[0].name
  policy_arn = aws_iam_policy.mirror.arn
}
