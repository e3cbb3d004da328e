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

variable "domain" {
  description = "Name callers use, such as titanic.example."
  type        = string
}

variable "dns_zone_name" {
  description = "DNS zone the name is in; no record when empty."
  type        = string
  default     = ""
}

variable "dns_zone_resource_group_name" {
  description = "Resource group of that zone."
  type        = string
  default     = ""
}

variable "standby" {
  description = "Another region, to which callers are sent while this one is not ready: where, the IPv4 address of its ingress, and who is told; none when null."
  type        = object({ location = string, address = string, action_group_id = string })
  default     = null
  validation {
    condition     = can(regex("^[0-9]{1,3}(\\.[0-9]{1,3}){3}$", var.standby == null ? "0.0.0.0" : var.standby.address))
    error_message = "standby: its address is an IPv4 address, such as 203.0.113.20."
  }
}

variable "cluster_principal_id" {
  description = "The cluster's identity, which takes the address for its ingress."
  type        = string
}

variable "resource_group_id" {
  description = "ID of the resource group."
  type        = string
}
