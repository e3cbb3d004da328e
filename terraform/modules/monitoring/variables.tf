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

variable "retention_days" {
  description = "How long logs stay; Azure's least is 30."
  type        = number
  default     = 30
  validation {
    condition     = var.retention_days >= 30 && var.retention_days <= 730
    error_message = "retention_days: 30 to 730."
  }
}

variable "daily_quota_gb" {
  description = "Past this many GB a day nothing more is taken in: a log that runs wild costs no fortune."
  type        = number
  default     = 5
}

variable "email" {
  description = "Who is told by mail when Azure itself sees something; what the hosts see, Alertmanager tells."
  type        = string
  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+$", var.email))
    error_message = "email: an address."
  }
}
