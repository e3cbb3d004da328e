variable "subscription_id" {
  description = "Azure subscription."
  type        = string
}

variable "tenant_id" {
  description = "Entra tenant."
  type        = string
}

variable "location" {
  description = "Azure region."
  type        = string
  default     = "eastus"
}

variable "team" {
  description = "Tag: who answers for it."
  type        = string
}

variable "cost_center" {
  description = "Tag: who pays for it."
  type        = string
}

variable "admin_group_ids" {
  description = "Entra groups that administer the cluster."
  type        = list(string)
}

variable "email" {
  description = "Who is told of alerts and of the budget."
  type        = string
}

variable "budget_start" {
  description = "The first of the month the budget counts from: 2026-12-01T00:00:00Z."
  type        = string
}

variable "secrets" {
  description = "Number of the generated secrets' rotation, and when they expire."
  type        = object({ rotation = number, expires = string })
}

variable "dns_zone" {
  description = "DNS zone of the name callers use, and its resource group."
  type        = object({ name = string, resource_group_name = string })
  default     = { name = "", resource_group_name = "" }
}

variable "release_subject" {
  description = "Subject of the token of the pipeline that pushes images; none when empty."
  type        = string
  default     = ""
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
