output "policy_arn" {
  description = "The permissions; attach them to the role of target.aws.role for a registry in another account."
  value       = aws_iam_policy.mirror.arn
}

output "policy_json" {
  description = "The same permissions as JSON, for a role in an account that another provider manages."
  value       = data.aws_iam_policy_document.mirror.json
}

output "role_arn" {
  description = "For the annotation eks.amazonaws.com/role-arn of the ServiceAccount (IRSA); null without IRSA and Pod Identity."
  value       = local.create_role ? aws_iam_role.mirror[0].arn : null
}

output "user_name" {
  description = "Create an access key for this user, and store it in the Secret that awsSecretName names; null without a user."
  value       = var.create_user ? aws_iam_user.mirror[0].name : null
}
