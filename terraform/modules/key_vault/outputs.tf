output "id" {
  description = "ID of the vault."
  value       = azurerm_key_vault.this.id
  # A secret is refused before there are a role and a way.
  depends_on = [azurerm_role_assignment.deployer, azurerm_private_endpoint.this]
}

output "uri" {
  description = "Address of the vault."
  value       = azurerm_key_vault.this.vault_uri
}

output "database_administrator_password" {
  description = "For the database module."
  value       = random_password.this["database-administrator"].result
  sensitive   = true
}
