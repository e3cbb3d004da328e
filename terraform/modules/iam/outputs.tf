output "secrets_client_id" {
  description = "For the annotation azure.workload.identity/client-id."
  value       = azurerm_user_assigned_identity.secrets.client_id
}

output "release_client_id" {
  description = "What the pipeline logs in as."
  value       = try(azurerm_user_assigned_identity.release[0].client_id, "")
}

output "certificates_client_id" {
  description = "What cert-manager logs in as where it proves names by DNS."
  value       = try(azurerm_user_assigned_identity.certificates[0].client_id, "")
}
