output "id" {
  description = "ID of the registry."
  value       = azurerm_container_registry.this.id
}

output "login_server" {
  description = "What images are named by."
  value       = azurerm_container_registry.this.login_server
}
