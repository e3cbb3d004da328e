output "id" {
  description = "ID of the server."
  value       = azurerm_postgresql_flexible_server.this.id
}

output "host" {
  description = "Name of the server, 5432 for PostgreSQL, 6432 for PgBouncer."
  value       = azurerm_postgresql_flexible_server.this.fqdn
}

output "replica_host" {
  description = "Name of the replica, if there is one."
  value       = try(azurerm_postgresql_flexible_server.replica[0].fqdn, "")
}

output "writer_host" {
  description = "Name that leads to whichever server is the primary, if there are two."
  value       = try("${azurerm_postgresql_flexible_server_virtual_endpoint.this[0].name}.writer.postgres.database.azure.com", "")
}
