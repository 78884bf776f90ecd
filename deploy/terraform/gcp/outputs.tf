output "environment" {
  description = "The lake's environment variables."
  value = merge(
    {
      LAKE_TARGET            = "gcp"
      LAKE_BUCKET            = "gs://${google_storage_bucket.lake.name}"
      LAKE_GCP_PROJECT       = var.project
      LAKE_GCP_LOCATION      = var.location
      LAKE_ANALYSTS          = "group:${var.analysts}"
      LAKE_GCP_POLICY_TAGS   = join(" ", [for kind, tag in var.policy_tags : "${kind}=${tag}"])
      LAKE_GCP_LOAD_FUNCTION = var.function_image == "" ? "off" : "on"
      GOOGLE_CLOUD_PROJECT   = var.project
    },
    var.spark_environment == "" ? {} : {
      LAKE_SPARK_RUNNER      = "dataproc-batch"
      LAKE_SPARK_ENVIRONMENT = var.spark_environment
      LAKE_DATAPROC_PROJECT  = var.project
      LAKE_DATAPROC_REGION   = var.region
      LAKE_DATAPROC_ACCOUNT  = google_service_account.spark.email
      LAKE_DATAPROC_STAGING  = google_storage_bucket.spark_staging.name
      LAKE_DATAPROC_VERSION  = "2.3"
    },
  )
}

output "accounts" {
  description = "E-mail address of the service account of each job."
  value = {
    orchestrator = google_service_account.orchestrator.email
    connect      = google_service_account.connect.email
    spark        = google_service_account.spark.email
  }
}
