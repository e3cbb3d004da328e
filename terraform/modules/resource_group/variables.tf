variable "name" {
  description = "Name of the resource group."
  type        = string
}

variable "location" {
  description = "Azure region, such as eastus."
  type        = string
}

variable "locked" {
  description = "Whether nothing in it may be deleted until the lock is taken off by hand."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource: environment, team and cost_center at least."
  type        = map(string)
  validation {
    condition     = alltrue([for key in ["environment", "team", "cost_center"] : try(length(var.tags[key]) > 0, false)])
    error_message = "tags: environment, team and cost_center are required, for whoever reads the bill."
  }
}
