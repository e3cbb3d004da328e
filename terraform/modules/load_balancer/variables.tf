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

variable "regions" {
  description = "IPv4 address of every region's ingress with its priority, 1 first; more than one make a traffic manager. Addresses, not names: the record at the top of a zone takes no other."
  type        = map(object({ target = string, priority = number }))
  default     = {}
  validation {
    condition     = alltrue([for region in values(var.regions) : can(regex("^[0-9]{1,3}(\\.[0-9]{1,3}){3}$", region.target))])
    error_message = "regions: targets are IPv4 addresses, such as 203.0.113.10."
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
