output "address" {
  description = "The ingress' address."
  value       = azurerm_public_ip.ingress.ip_address
}

output "address_name" {
  description = "Name of the address, for the ingress' annotations."
  value       = azurerm_public_ip.ingress.name
}

output "fqdn" {
  description = "Azure's name for the address: another region's traffic manager takes it as a target."
  value       = azurerm_public_ip.ingress.fqdn
}
