variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "location" {
  description = "Where bucket and datasets are, such as EU or europe-west3."
  type        = string
}

variable "region" {
  description = "Region that Spark batches run in."
  type        = string
}

variable "bucket" {
  description = "Name of the lake's bucket; it is made here."
  type        = string
}

variable "assets" {
  description = "Names of the assets in the catalog: one private dataset NAME_staging for each."
  type        = set(string)
}

variable "marts" {
  description = "Folders under dbt_project/models/marts, such as sales_data_mart: one dataset for each."
  type        = set(string)

  validation {
    condition     = alltrue([for mart in var.marts : endswith(mart, "_data_mart")])
    error_message = "A mart's name must end in _data_mart: analysts may read what is named so."
  }
}

variable "analysts" {
  description = "E-mail address of the group of analysts."
  type        = string
}

variable "spark_environment" {
  description = "Path or URL of the archive that `make spark-dist` builds; without it no Spark batch runs on Dataproc."
  type        = string
  default     = ""
}

variable "policy_tags" {
  description = "Resource name of the policy tag of each classification, such as personal; empty without column security."
  type        = map(string)
  default     = {}
}

variable "kubernetes_accounts" {
  description = "NAMESPACE/NAME of the Kubernetes service account of orchestrator and of connect; empty off GKE."
  type        = map(string)
  default     = {}
}

variable "function_image" {
  description = "Image `code` for the load function on Cloud Run; empty without one."
  type        = string
  default     = ""
}
