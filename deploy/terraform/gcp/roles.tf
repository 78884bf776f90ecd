# One account for each job. Each permission is one that the code needs; the file that needs it stands beside it.

resource "google_service_account" "orchestrator" {
  account_id   = "lake-orchestrator"
  display_name = "The lake's Dagster"

  depends_on = [google_project_service.apis]
}

resource "google_service_account" "connect" {
  account_id   = "lake-connect"
  display_name = "The lake's Kafka Connect"

  depends_on = [google_project_service.apis]
}

resource "google_service_account" "spark" {
  account_id   = "lake-spark"
  display_name = "The lake's Spark jobs"

  depends_on = [google_project_service.apis]
}

# lake_assets/bucket.py and Iceberg's GCSFileIO. To replace an object is to delete it.
resource "google_project_iam_custom_role" "files" {
  role_id     = "lakeFiles"
  title       = "Files of the lake"
  permissions = ["storage.objects.get", "storage.objects.list", "storage.objects.create", "storage.objects.delete"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "read_files" {
  role_id     = "lakeReadFiles"
  title       = "Read files of the lake"
  permissions = ["storage.objects.get", "storage.objects.list"]

  depends_on = [google_project_service.apis]
}

# Listing is checked on the bucket, by the prefix that is asked for, and not on the objects below it.
locals {
  below = {
    for folder in ["raw", "conformed", "jobs", "publications"] : folder => join(" || ", [
      "resource.name.startsWith(\"projects/_/buckets/${var.bucket}/objects/${folder}/\")",
      "api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"${folder}/\")",
    ])
  }
}

resource "google_storage_bucket_iam_member" "orchestrator_files" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.files.name
  member = google_service_account.orchestrator.member
}

resource "google_storage_bucket_iam_member" "connect_files" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.files.name
  member = google_service_account.connect.member

  condition {
    title      = "raw"
    expression = local.below["raw"]
  }
}

resource "google_storage_bucket_iam_member" "spark_reads" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.read_files.name
  member = google_service_account.spark.member

  condition {
    title      = "raw"
    expression = local.below["raw"]
  }
}

# Hadoop's client of Cloud Storage begins with the bucket itself; that shows no object.
resource "google_project_iam_custom_role" "see_bucket" {
  role_id     = "lakeSeeBucket"
  title       = "Settings of the lake's bucket"
  permissions = ["storage.buckets.get"]

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket_iam_member" "spark_sees" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.see_bucket.name
  member = google_service_account.spark.member
}

resource "google_storage_bucket_iam_member" "spark_writes" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.files.name
  member = google_service_account.spark.member

  condition {
    title      = "conformed-and-jobs"
    expression = "${local.below["conformed"]} || ${local.below["jobs"]}"
  }
}

# lake_assets/warehouse/gcp/bigquery.py loads and asks, and makes the dataset of a new asset; it then owns that dataset.
# It waits for jobs of the same names that the load function, or a person, has started.
resource "google_project_iam_custom_role" "warehouse" {
  role_id     = "lakeWarehouse"
  title       = "Loads and queries of the lake"
  permissions = ["bigquery.jobs.create", "bigquery.jobs.get", "bigquery.jobs.list", "bigquery.datasets.create"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "orchestrator_warehouse" {
  project = var.project
  role    = google_project_iam_custom_role.warehouse.name
  member  = google_service_account.orchestrator.member
}

# Setting a policy tag needs its taxonomy, and reading its columns the right to read it: marts, replays, erasures.
# The right to tag tables comes with owning their datasets. A load needs none of them: it names no columns.
resource "google_project_iam_custom_role" "taxonomies" {
  role_id     = "lakeTaxonomies"
  title       = "Taxonomies of the lake's policy tags"
  permissions = ["datacatalog.taxonomies.get"]

  depends_on = [google_project_service.apis]
}

resource "google_data_catalog_taxonomy_iam_member" "orchestrator" {
  for_each = toset([for tag in values(var.policy_tags) : split("/policyTags/", tag)[0]])
  taxonomy = each.value
  role     = google_project_iam_custom_role.taxonomies.name
  member   = google_service_account.orchestrator.member
}

resource "google_data_catalog_policy_tag_iam_member" "orchestrator" {
  for_each   = var.policy_tags
  policy_tag = each.value
  role       = "roles/datacatalog.categoryFineGrainedReader"
  member     = google_service_account.orchestrator.member
}

# lake_assets/conform/runners/dataproc_batch.py.
resource "google_project_iam_custom_role" "batches" {
  role_id     = "lakeBatches"
  title       = "Spark batches of the lake"
  permissions = ["dataproc.batches.create", "dataproc.batches.get", "dataproc.operations.cancel"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "orchestrator_batches" {
  project = var.project
  role    = google_project_iam_custom_role.batches.name
  member  = google_service_account.orchestrator.member
}

resource "google_service_account_iam_member" "orchestrator_as_spark" {
  service_account_id = google_service_account.spark.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.orchestrator.member
}

# Output and history of batches, by Dataproc's agent.
resource "google_project_iam_custom_role" "spark_staging" {
  role_id = "lakeSparkStaging"
  title   = "Staging files of the lake's Spark batches"
  permissions = [
    "storage.buckets.get", "storage.objects.create", "storage.objects.delete", "storage.objects.get",
    "storage.objects.list", "storage.objects.update",
  ]

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket_iam_member" "spark_staging" {
  bucket = google_storage_bucket.spark_staging.name
  role   = google_project_iam_custom_role.spark_staging.name
  member = google_service_account.spark.member
}

# roles/dataproc.worker without its rights on every bucket of the project: files are granted above, bucket by bucket.
resource "google_project_iam_custom_role" "spark_worker" {
  role_id = "lakeSparkWorker"
  title   = "Machines of the lake's Spark batches"
  permissions = [
    "dataproc.agents.create", "dataproc.agents.delete", "dataproc.agents.get", "dataproc.agents.list",
    "dataproc.agents.update", "dataproc.tasks.lease", "dataproc.tasks.listInvalidatedLeases",
    "dataproc.tasks.reportStatus", "logging.logEntries.create", "monitoring.metricDescriptors.create",
    "monitoring.metricDescriptors.get", "monitoring.metricDescriptors.list",
    "monitoring.monitoredResourceDescriptors.get", "monitoring.monitoredResourceDescriptors.list",
    "monitoring.timeSeries.create",
  ]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "spark_worker" {
  project = var.project
  role    = google_project_iam_custom_role.spark_worker.name
  member  = google_service_account.spark.member
}

# What analysts may read stands at the marts' datasets (main.tf); here is only the right to ask.
resource "google_project_iam_custom_role" "analyst" {
  role_id     = "lakeAnalyst"
  title       = "Queries of the lake's analysts"
  permissions = ["bigquery.jobs.create"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "analyst" {
  project = var.project
  role    = google_project_iam_custom_role.analyst.name
  member  = "group:${var.analysts}"
}

resource "google_service_account_iam_member" "kubernetes" {
  for_each           = var.kubernetes_accounts
  service_account_id = { orchestrator = google_service_account.orchestrator.name, connect = google_service_account.connect.name }[each.key]
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${each.value}]"
}
