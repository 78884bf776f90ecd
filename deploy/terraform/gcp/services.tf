# What the resources here and the lake call. A project that was just created has next to none of them.

locals {
  services = toset(concat(
    [
      "bigquery.googleapis.com", "cloudresourcemanager.googleapis.com", "iam.googleapis.com",
      "iamcredentials.googleapis.com", "storage.googleapis.com",
    ],
    length(var.policy_tags) == 0 ? [] : ["datacatalog.googleapis.com"],
    var.spark_environment == "" ? [] : ["dataproc.googleapis.com"],
    var.function_image == "" ? [] : ["eventarc.googleapis.com", "pubsub.googleapis.com", "run.googleapis.com"],
  ))
}

# They stay enabled: others in the project may use them by then.
resource "google_project_service" "apis" {
  for_each           = local.services
  service            = each.value
  disable_on_destroy = false
}
