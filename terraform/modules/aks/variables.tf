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

variable "kubernetes_version" {
  description = "Kubernetes version, 1.30 or later (deploy/k8s pauses before a stop by the kubelet); patches come by the upgrade channel. Take one that Azure supports today: az aks get-versions."
  type        = string
  default     = "1.33"
  validation {
    condition     = try(tonumber(split(".", var.kubernetes_version)[1]) >= 30, false)
    error_message = "kubernetes_version: 1.30 or later."
  }
}

variable "node_size" {
  description = "Size of a node."
  type        = string
  default     = "Standard_D4s_v3"
}

variable "min_nodes" {
  description = "Nodes the autoscaler keeps."
  type        = number
  default     = 3
}

variable "max_nodes" {
  description = "Nodes the autoscaler goes to."
  type        = number
  default     = 5
  validation {
    condition     = var.max_nodes >= var.min_nodes && var.max_nodes <= 100
    error_message = "max_nodes: at least min_nodes, at most 100."
  }
}

variable "zones" {
  description = "Zones the nodes are spread over."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "sku_tier" {
  description = "Free, or Standard for the 99.95 % of the API server."
  type        = string
  default     = "Standard"
  validation {
    condition     = contains(["Free", "Standard", "Premium"], var.sku_tier)
    error_message = "sku_tier: Free, Standard or Premium."
  }
}

variable "spot" {
  description = "Whether a second pool of spot nodes takes what can be stopped at any time; not for production."
  type        = bool
  default     = false
}

variable "nodes_subnet_id" {
  description = "Subnet of the nodes."
  type        = string
}

variable "pod_cidr" {
  description = "Addresses of the pods (overlay): what TRUSTED_PROXIES of deploy/k8s names."
  type        = string
  default     = "10.244.0.0/16"
}

variable "admin_group_ids" {
  description = "Entra groups that administer the cluster."
  type        = list(string)
  validation {
    condition     = length(var.admin_group_ids) > 0
    error_message = "admin_group_ids: name one group at least: local accounts are off, and nobody could get in."
  }
}

variable "tenant_id" {
  description = "Entra tenant."
  type        = string
}

variable "log_analytics_workspace_id" {
  description = "Where the control plane's logs go."
  type        = string
}
