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

variable "oidc_issuer_url" {
  description = "Issuer of the cluster's service account tokens."
  type        = string
}

variable "namespace" {
  description = "Namespace of the hosts."
  type        = string
  default     = "titanic"
}

variable "key_vault_id" {
  description = "Vault the hosts' secrets are read from."
  type        = string
}

variable "registry_id" {
  description = "Registry the nodes pull from and releases push to."
  type        = string
}

variable "kubelet_principal_id" {
  description = "Who pulls images."
  type        = string
}

variable "release_subject" {
  description = "Subject of the token of the pipeline that releases, such as repo:titanic/bulkhead:environment:prod; none when empty."
  type        = string
  default     = ""
}

variable "release_issuer" {
  description = "Issuer of that token."
  type        = string
  default     = "https://token.actions.githubusercontent.com"
}

variable "secrets" {
  description = "Names of the secrets the hosts read."
  type        = list(string)
  default     = ["database-password", "api-key-pepper", "redis-url"]
}

variable "dns_zone_id" {
  description = "DNS zone in which cert-manager may prove that a name is ours; none when empty."
  type        = string
  default     = ""
}
