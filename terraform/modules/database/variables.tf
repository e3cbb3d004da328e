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

variable "sku_name" {
  description = "Size: tier and machine, such as GP_Standard_D2ds_v5 or B_Standard_B1ms."
  type        = string
  validation {
    condition     = can(regex("^(B|GP|MO)_Standard_", var.sku_name))
    error_message = "sku_name: B_, GP_ or MO_Standard_..., such as GP_Standard_D2ds_v5."
  }
}

variable "storage_mb" {
  description = "Disk to begin with, in MiB; it grows by itself."
  type        = number
  default     = 131072
}

variable "high_availability" {
  description = "Whether a standby in another zone takes over (not with B_ sizes)."
  type        = bool
  default     = true
}

variable "zones" {
  description = "Zones of the server and of its standby."
  type        = list(string)
  default     = ["1", "2"]
}

variable "backup_retention_days" {
  description = "How far back a restore to a point in time reaches."
  type        = number
  default     = 35
  validation {
    condition     = var.backup_retention_days >= 7 && var.backup_retention_days <= 35
    error_message = "backup_retention_days: 7 to 35."
  }
}

variable "replica" {
  description = "A read replica in a second region that can be promoted: where, in which group, the subnet of its private endpoint, where its logs go and who is told when it lags; none when null."
  type        = object({ location = string, resource_group_name = string, subnet_id = string, log_analytics_workspace_id = string, action_group_id = string })
  default     = null
}

variable "tenant_id" {
  description = "Entra tenant, whose people may log in as administrators."
  type        = string
}

variable "administrator_password" {
  description = "Password of the administrator; the application has a user of its own."
  type        = string
  sensitive   = true
}

variable "subnet_id" {
  description = "Subnet of the private endpoint."
  type        = string
}

variable "dns_zone_id" {
  description = "Private DNS zone of PostgreSQL."
  type        = string
}

variable "log_analytics_workspace_id" {
  description = "Where its logs and metrics go."
  type        = string
}

variable "geo_redundant_backup" {
  description = "Whether backups are kept in the paired region as well. Azure takes it when a server is made and never after: decide on the first day."
  type        = bool
  default     = false
}
