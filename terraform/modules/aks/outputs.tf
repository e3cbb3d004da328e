output "id" {
  description = "ID of the cluster."
  value       = azurerm_kubernetes_cluster.this.id
}

output "name" {
  description = "Name of the cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "oidc_issuer_url" {
  description = "Issuer of the service accounts' tokens, for workload identity."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}

output "kubelet_principal_id" {
  description = "Who pulls images."
  value       = azurerm_user_assigned_identity.kubelet.principal_id
}

output "cluster_principal_id" {
  description = "Who makes load balancers."
  value       = azurerm_user_assigned_identity.cluster.principal_id
}

output "private_dns_zone" {
  description = "The private DNS zone in which the API server's name is, and its resource group: the cluster makes both."
  value       = { name = join(".", slice(split(".", azurerm_kubernetes_cluster.this.private_fqdn), 1, length(split(".", azurerm_kubernetes_cluster.this.private_fqdn)))), resource_group_name = azurerm_kubernetes_cluster.this.node_resource_group }
}
