variable "name" {
  description = "What every resource's name begins with, such as titanic-prod."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}[a-z0-9]$", var.name))
    error_message = "name: 4 to 22 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "location" {
  description = "Azure region, such as eastus."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group that holds what is made here."
  type        = string
}

variable "tags" {
  description = "Tags of every resource: environment, team and cost_center at least."
  type        = map(string)
  validation {
    condition     = alltrue([for key in ["environment", "team", "cost_center"] : try(length(var.tags[key]) > 0, false)])
    error_message = "tags: environment, team and cost_center are required, for whoever reads the bill."
  }
}

variable "tenant_id" {
  description = "Entra tenant of the vault."
  type        = string
}

variable "rotation" {
  description = "Raised by one, every generated secret is another: the database's password takes effect by the runbook, the hosts take it up by themselves."
  type        = number
  default     = 1
}

variable "expires" {
  description = "When the generated secrets expire (RFC 3339): rotate them before."
  type        = string
  validation {
    condition     = can(formatdate("YYYY", var.expires))
    error_message = "expires: a time such as 2027-06-01T00:00:00Z."
  }
}

variable "redis_url" {
  description = "The URL of Redis with its password, for the hosts: redis://:PASSWORD@127.0.0.1:6379/0 through the sidecar."
  type        = string
  sensitive   = true
}

variable "subnet_id" {
  description = "Subnet of the private endpoint."
  type        = string
}

variable "dns_zone_id" {
  description = "Private DNS zone of vaults."
  type        = string
}

variable "log_analytics_workspace_id" {
  description = "Where is written who read what."
  type        = string
}

variable "deployer_principal_id" {
  description = "Object ID of who applies this: writing secrets takes a role in the vault, which Owner does not bring."
  type        = string
}
