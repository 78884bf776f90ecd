variable "region" {
  description = "Region of everything here, such as eu-central-1."
  type        = string
}

variable "bucket" {
  description = "Name of the lake's bucket; it is made here."
  type        = string
}

variable "assets" {
  description = "Names of the assets in the catalog: one private Glue database NAME_staging for each."
  type        = set(string)
}

variable "domains" {
  description = "Domains of the contracts: one Glue database of raw tables for each."
  type        = set(string)
}

variable "marts" {
  description = "Folders under dbt_project/models/marts, such as sales_data_mart: one Glue database for each."
  type        = set(string)

  validation {
    condition     = alltrue([for mart in var.marts : endswith(mart, "_data_mart")])
    error_message = "A mart's name must end in _data_mart: analysts may read what is named so."
  }
}

variable "analysts" {
  description = "Names of the groups of analysts: a role, a workgroup and a folder of results for each."
  type        = set(string)
  default     = ["analyst"]

  validation {
    condition     = length(setintersection(var.analysts, ["connect", "lake", "orchestrator", "results", "spark"])) == 0
    error_message = "A group of analysts cannot be named as a part of the lake."
  }
}

variable "analyst_scan_limit" {
  description = "Bytes that one query of an analyst may scan before Athena ends it."
  type        = number
  default     = 1099511627776
}

variable "lake_formation" {
  description = "Whether Lake Formation grants reading of marts, by tags that the lake sets; IAM alone does otherwise."
  type        = bool
  default     = false
}

variable "trust" {
  description = "Trust policy (JSON) of each role, by orchestrator, connect and each of analysts: who may take it on."
  type        = map(string)
}

variable "spark_environment" {
  description = "Path or URL of the archive that `make spark-dist` builds; without it no Spark job runs on EMR."
  type        = string
  default     = ""
}

variable "emr_application" {
  description = "Id of the EMR Serverless application that Spark jobs run in; empty when none does."
  type        = string
  default     = ""
}
