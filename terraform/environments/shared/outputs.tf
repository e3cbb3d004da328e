output "platform" {
  description = "Names and addresses of what was made."
  value       = module.platform
  sensitive   = true
}
