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
  description = "The network's /16; deploy/k8s/overlays/ENVIRONMENT/network-policies.yaml names its subnets."
  type        = string
}

variable "peers" {
  description = "Networks of other regions to peer with: name to ID and /16."
  type        = map(object({ id = string, address_space = string }))
  default     = {}
}

variable "locked" {
  description = "Whether nothing may be deleted until a lock is taken off by hand."
  type        = bool
  default     = false
}

variable "nodes" {
  description = "The cluster's nodes: size, how many at least and at most, zones, the API server's tier, whether spot nodes take what can be stopped."
  type = object({
    size     = string
    min      = number
    max      = number
    zones    = optional(list(string), ["1", "2", "3"])
    sku_tier = optional(string, "Standard")
    spot     = optional(bool, false)
  })
}

variable "database" {
  description = "PostgreSQL: size, disk, standby in another zone, the replica in another region."
  type = object({
    sku_name          = string
    storage_mb        = optional(number, 131072)
    high_availability = optional(bool, true)
    backup_days       = optional(number, 35)
    replica           = optional(object({ location = string, resource_group_name = string, subnet_id = string, log_analytics_workspace_id = string, action_group_id = string }))
    geo_backup        = optional(bool, false)
  })
}

variable "redis" {
  description = "Redis: tier and size."
  type        = object({ sku_name = string, capacity = number })
}

variable "registry" {
  description = "The registry's tier, and the regions images are copied to."
  type        = object({ sku = string, replica_locations = optional(list(string), []) })
}

variable "admin_group_ids" {
  description = "Entra groups that administer the cluster."
  type        = list(string)
}

variable "domain" {
  description = "Name callers use."
  type        = string
}

variable "dns_zone" {
  description = "DNS zone of that name and its resource group; no record when the name is empty."
  type        = object({ name = string, resource_group_name = string })
  default     = { name = "", resource_group_name = "" }
}

variable "standby" {
  description = "Another region, to which callers are sent while this one is not ready: where, and the IPv4 address of its ingress; none when null."
  type        = object({ location = string, address = string })
  default     = null
}

variable "email" {
  description = "Who is told of alerts and of the budget."
  type        = string
}

variable "budget" {
  description = "US dollars a month, and the first of the month it counts from."
  type        = object({ amount = number, start_date = string })
}

variable "secrets" {
  description = "Number of the generated secrets' rotation, and when they expire."
  type        = object({ rotation = number, expires = string })
}

variable "release_subject" {
  description = "Subject of the token of the pipeline that pushes images; none when empty."
  type        = string
  default     = ""
}

variable "namespace" {
  description = "Kubernetes namespace of the hosts."
  type        = string
}

variable "deployer_principal_id" {
  description = "Object ID of who applies this: writing secrets takes a role in the vault, which Owner does not bring."
  type        = string
}

variable "allowed_sources" {
  description = "Networks beside this one's nodes and operators that may reach the data: a VPN's, another region's nodes."
  type        = list(string)
  default     = []
}

variable "subscription_id" {
  description = "Azure subscription, for the budget."
  type        = string
}
