output "resource_group" {
  description = "Resource group."
  value       = module.resource_group.name
}

output "cluster" {
  description = "Name of the cluster: az aks get-credentials."
  value       = module.aks.name
}

output "registry" {
  description = "Where images go."
  value       = module.acr.login_server
}

output "database_host" {
  description = "PostgreSQL: 5432, PgBouncer: 6432."
  value       = module.database.host
}

output "replica_host" {
  description = "The replica in the second region, if there is one."
  value       = module.database.replica_host
}

output "writer_host" {
  description = "Where there are two: leads to whichever database is the primary."
  value       = module.database.writer_host
}

output "redis_host" {
  description = "Redis: 6380, TLS."
  value       = module.redis.host
}

output "key_vault_uri" {
  description = "Key Vault."
  value       = module.key_vault.uri
}

output "secrets_client_id" {
  description = "For the annotation azure.workload.identity/client-id of titanic-secrets."
  value       = module.iam.secrets_client_id
}

output "ingress_address" {
  description = "The ingress' address and its name."
  value       = { address = module.load_balancer.address, name = module.load_balancer.address_name, fqdn = module.load_balancer.fqdn }
}

output "network_id" {
  description = "The virtual network, for peering."
  value       = module.network.id
}

output "dns_zone_ids" {
  description = "Private DNS zones, for another region."
  value       = module.network.dns_zone_ids
}

output "key_vault_id" {
  description = "Key Vault, for another region."
  value       = module.key_vault.id
}

output "registry_id" {
  description = "Registry, for another region."
  value       = module.acr.id
}
