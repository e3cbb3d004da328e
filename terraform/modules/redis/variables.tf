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
  description = "Basic, Standard or Premium; Premium spreads over zones."
  type        = string
  default     = "Standard"
  validation {
    condition     = contains(["Basic", "Standard", "Premium"], var.sku_name)
    error_message = "sku_name: Basic, Standard or Premium."
  }
}

variable "capacity" {
  description = "Size: 0 to 6 (C) for Basic and Standard, 1 to 5 (P) for Premium."
  type        = number
  default     = 0
}

variable "subnet_id" {
  description = "Subnet of the private endpoint."
  type        = string
}

variable "dns_zone_id" {
  description = "Private DNS zone of Redis."
  type        = string
}
