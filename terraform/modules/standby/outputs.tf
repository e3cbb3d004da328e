output "resource_group" {
  description = "Resource group."
  value       = module.resource_group.name
}

output "cluster" {
  description = "Name of the cluster: az aks get-credentials."
  value       = module.aks.name
}

output "redis_host" {
  description = "Redis: 6380, TLS."
  value       = module.redis.host
}

output "redis_secret" {
  description = "Name of the secret that has the URL of Redis here."
  value       = azurerm_key_vault_secret.redis.name
}

output "secrets_client_id" {
  description = "For the annotation azure.workload.identity/client-id of titanic-secrets."
  value       = module.iam.secrets_client_id
}

output "certificates_client_id" {
  description = "What cert-manager logs in as."
  value       = module.iam.certificates_client_id
}

output "ingress_address" {
  description = "The ingress' address and its name."
  value       = { address = module.load_balancer.address, name = module.load_balancer.address_name, fqdn = module.load_balancer.fqdn }
}

output "network_id" {
  description = "The virtual network, for peering."
  value       = module.network.id
}

output "replica" {
  description = "For modules/database: where its replica is put, and who hears of it."
  value = {
    location                   = var.location
    resource_group_name        = module.resource_group.name
    subnet_id                  = module.network.subnet_ids["database"]
    log_analytics_workspace_id = module.monitoring.workspace_id
    action_group_id            = module.monitoring.action_group_id
  }
}
