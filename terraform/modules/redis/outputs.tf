output "host" {
  description = "Name of the cache; 6380, with TLS."
  value       = azurerm_redis_cache.this.hostname
}

output "url" {
  description = "What the hosts read, through the sidecar that speaks TLS."
  value       = "redis://:${urlencode(azurerm_redis_cache.this.primary_access_key)}@127.0.0.1:6379/0"
  sensitive   = true
}
