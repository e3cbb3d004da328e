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
