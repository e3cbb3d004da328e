variable "name" {
  description = "What every resource's name begins with, such as titanic-prod."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}[a-z0-9]$", var.name))
    error_message = "name: 4 to 22 lower-case letters, digits and hyphens, beginning with a letter."
  }
}



variable "tags" {
  description = "Tags of every resource: environment, team and cost_center at least."
  type        = map(string)
  validation {
    condition     = alltrue([for key in ["environment", "team", "cost_center"] : try(length(var.tags[key]) > 0, false)])
    error_message = "tags: environment, team and cost_center are required, for whoever reads the bill."
  }
}

variable "subscription_id" {
  description = "What is counted, by the tags environment and cost_center: /subscriptions/ID."
  type        = string
}

variable "amount" {
  description = "US dollars a month; deploy/cost computes it."
  type        = number
  validation {
    condition     = var.amount > 0
    error_message = "amount: more than nothing."
  }
}

variable "start_date" {
  description = "First day it counts, the first of a month: 2026-12-01T00:00:00Z."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-01T00:00:00Z$", var.start_date))
    error_message = "start_date: the first of a month, such as 2026-12-01T00:00:00Z."
  }
}

variable "emails" {
  description = "Who is told."
  type        = list(string)
  validation {
    condition     = length(var.emails) > 0
    error_message = "emails: name somebody."
  }
}
