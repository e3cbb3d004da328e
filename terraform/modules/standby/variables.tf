variable "name" {
  description = "What every resource's name begins with, such as titanic-prod-eu."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}[a-z0-9]$", var.name))
    error_message = "name: 4 to 22 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "location" {
  description = "Azure region, such as westeurope."
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
  description = "Entra tenant."
  type        = string
}

variable "address_space" {
  description = "The network's /16, another than the first region's; deploy/k8s/overlays/prod-eu names its subnets."
  type        = string
}

variable "primary" {
  description = "The first region: its name and location, its network, and what there is once for both."
  type = object({
    name          = string
    location      = string
    network_id    = string
    address_space = string
    dns_zone_ids  = map(string)
    key_vault_id  = string
    registry_id   = string
  })
  validation {
    condition     = var.primary.location != var.location && var.primary.address_space != var.address_space
    error_message = "primary: another region than this one, with other addresses."
  }
}

variable "allowed_sources" {
  description = "Networks beside this one's nodes and operators that may reach the data: a VPN's, another region's nodes."
  type        = list(string)
  default     = []
}

variable "locked" {
  description = "Whether nothing may be deleted until a lock is taken off by hand."
  type        = bool
  default     = false
}

variable "nodes" {
  description = "The cluster's nodes: size, how many at least and at most, zones. At least as many as carry the hosts that wait; at most as many as the first region has."
  type = object({
    size  = string
    min   = number
    max   = number
    zones = optional(list(string), ["1", "2", "3"])
  })
}

variable "redis" {
  description = "Redis: tier and size."
  type        = object({ sku_name = string, capacity = number })
}

variable "admin_group_ids" {
  description = "Entra groups that administer the cluster."
  type        = list(string)
}

variable "domain" {
  description = "Name callers use."
  type        = string
}

variable "dns_zone_id" {
  description = "DNS zone of that name, in which cert-manager proves that it is ours; none when empty."
  type        = string
  default     = ""
}

variable "email" {
  description = "Who is told of alerts and of the budget."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of the hosts."
  type        = string
}

variable "secrets_expire" {
  description = "When the generated secrets expire."
  type        = string
}
