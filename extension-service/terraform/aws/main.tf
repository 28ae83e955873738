# The permissions of image-swapper in Amazon ECR, and their holder: a ServiceAccount with IRSA, a ServiceAccount with EKS Pod
# Identity, or an IAM user. Only the variable `gc` adds the permission to delete images.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account  = var.registry_account_id != "" ? var.registry_account_id : data.aws_caller_identity.current.account_id
  region   = var.registry_region != "" ? var.registry_region : data.aws_region.current.id
  under    = var.prefix == "" ? "*" : "${var.prefix}/*"
  registry = "arn:${data.aws_partition.current.partition}:ecr:${local.region}:${local.account}:repository/${local.under}"
  # arn:aws:iam::123456789012:oidc-provider/ISSUER
  issuer = var.oidc_provider_arn == "" ? "" : element(split(":oidc-provider/", var.oidc_provider_arn), 1)
}

data "aws_iam_policy_document" "mirror" {
  statement {
    sid       = "Login"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "Mirror"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [local.registry]
  }

  dynamic "statement" {
    for_each = var.repository_mode == "api" ? [1] : []
    content {
      sid = "Repositories"
      actions = [
        "ecr:CreateRepository",
        "ecr:DescribeRepositories",
        "ecr:GetLifecyclePolicy",
        "ecr:GetRepositoryPolicy",
        "ecr:ListTagsForResource",
        "ecr:PutLifecyclePolicy",
        "ecr:SetRepositoryPolicy",
        "ecr:TagResource",
      ]
      resources = [local.registry]
    }
  }

  dynamic "statement" {
    for_each = var.repository_mode == "createOnPush" ? [1] : []
    content {
      sid       = "CreateOnPush"
      actions   = ["ecr:CreateRepository"]
      resources = [local.registry]
    }
  }

  dynamic "statement" {
    for_each = length(var.source_registries) > 0 ? [1] : []
    content {
      sid = "Sources"
      actions = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
      ]
      resources = var.source_registries
    }
  }

  # Tells archived images from missing ones.
  statement {
    sid       = "Archive"
    actions   = ["ecr:DescribeImages"]
    resources = concat([local.registry], var.source_registries)
  }

  dynamic "statement" {
    for_each = var.gc ? [1] : []
    content {
      sid       = "GarbageCollection"
      actions   = ["ecr:BatchDeleteImage", "ecr:ListImages"]
      resources = [local.registry]
    }
  }

  # Managed signing: ECR signs pushed images with the pushing identity.
  dynamic "statement" {
    for_each = length(var.signing_profile_arns) > 0 ? [1] : []
    content {
      sid       = "Signer"
      actions   = ["signer:GetSigningProfile", "signer:SignPayload"]
      resources = var.signing_profile_arns
    }
  }

  # Settings that `check --online` reads in addition to testing the permissions; all access is read-only.
  dynamic "statement" {
    for_each = var.allow_check ? [1] : []
    content {
      sid = "Check"
      actions = [
        "ecr:DescribeImageSigningStatus",
        "ecr:DescribeRepositoryCreationTemplates",
        "ecr:GetAccountSetting",
        "ecr:GetSigningConfiguration",
        "ecr:ListPullTimeUpdateExclusions",
      ]
      resources = ["*"]
    }
  }

  # The registry of another account: the service assumes a role there (target.aws.role).
  dynamic "statement" {
    for_each = length(var.assume_role_arns) > 0 ? [1] : []
    content {
      sid       = "AssumeRole"
      actions   = ["sts:AssumeRole"]
      resources = var.assume_role_arns
    }
  }

  dynamic "statement" {
    for_each = length(var.kms_key_arns) > 0 ? [1] : []
    content {
      sid       = "Keys"
      actions   = ["kms:CreateGrant", "kms:DescribeKey"]
      resources = var.kms_key_arns
    }
  }
}

resource "aws_iam_policy" "mirror" {
  name        = var.name
  description = "image-swapper: mirror images into Amazon ECR"
  policy      = data.aws_iam_policy_document.mirror.json
}
