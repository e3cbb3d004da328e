output "id" {
  description = "ID of the virtual network."
  value       = azurerm_virtual_network.this.id
}

output "subnet_ids" {
  description = "Subnets: nodes, database, redis, endpoints, management."
  value       = { for name, subnet in azurerm_subnet.this : name => subnet.id }
  # A cluster is refused where its subnet has no way out yet.
  depends_on = [azurerm_subnet_nat_gateway_association.this, azurerm_nat_gateway_public_ip_association.this, azurerm_subnet_network_security_group_association.data]
}

output "dns_zone_ids" {
  description = "Private DNS zones: database, redis, key_vault, registry."
  value       = merge({ for name, zone in azurerm_private_dns_zone.this : name => zone.id }, var.shared_dns_zones)
}

output "outbound_address" {
  description = "The one address requests from the nodes come from."
  value       = azurerm_public_ip.nat.ip_address
}
