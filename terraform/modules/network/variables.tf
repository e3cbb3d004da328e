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

variable "address_space" {
  description = "The network's /16. Subnets: /20 for nodes at .0, /24 for the database at .16, Redis at .17, other private endpoints at .18, operators at .19."
  type        = string
  validation {
    condition     = can(cidrhost(var.address_space, 0)) && endswith(var.address_space, "/16")
    error_message = "address_space: an IPv4 network of 16 bits, such as 10.10.0.0/16."
  }
}

variable "zones" {
  description = "Zones of the NAT gateway's address; one zone at most is what Azure takes for a gateway, none leaves it to Azure."
  type        = list(string)
  default     = []
}

variable "peers" {
  description = "Networks of other regions to peer with: name to ID and /16. Their nodes and operators reach the database here, and nothing else."
  type        = map(object({ id = string, address_space = string }))
  default     = {}
  validation {
    condition     = alltrue([for peer in values(var.peers) : can(cidrhost(peer.address_space, 0)) && endswith(peer.address_space, "/16") && try(cidrhost(peer.address_space, 0) != cidrhost(var.address_space, 0), true)])
    error_message = "peers: networks of 16 bits, each another than this one: networks that overlap cannot be peered."
  }
}

variable "shared_dns_zones" {
  description = "Private DNS zones of another region that this network is linked to, in place of making them: database, redis, key_vault or registry to ID."
  type        = map(string)
  default     = {}
}

variable "allowed_sources" {
  description = "Networks beside this one's nodes and operators that may reach the data: a VPN's, another region's nodes."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for each in var.allowed_sources : can(cidrhost(each, 0)) && !endswith(each, "/0")])
    error_message = "allowed_sources: networks such as 10.40.0.0/20, and not the whole Internet."
  }
}
