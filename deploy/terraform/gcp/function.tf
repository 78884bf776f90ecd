# Only with an image: the function that a notification of the bucket calls. lake_assets/warehouse/gcp/load_function.py.

resource "google_service_account" "function" {
  account_id   = "lake-load"
  display_name = "The lake's load function"

  depends_on = [google_project_service.apis]
}

# It rewrites quarantine files beside those of conform, and only reads announcements.
resource "google_storage_bucket_iam_member" "function_files" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.files.name
  member = google_service_account.function.member

  condition {
    title      = "conformed"
    expression = local.below["conformed"]
  }
}

resource "google_storage_bucket_iam_member" "function_reads" {
  bucket = google_storage_bucket.lake.name
  role   = google_project_iam_custom_role.read_files.name
  member = google_service_account.function.member

  condition {
    title      = "publications"
    expression = local.below["publications"]
  }
}

resource "google_project_iam_custom_role" "loads" {
  role_id     = "lakeLoads"
  title       = "Load jobs of the lake's function"
  permissions = ["bigquery.jobs.create", "bigquery.jobs.get", "bigquery.jobs.list"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "function_loads" {
  project = var.project
  role    = google_project_iam_custom_role.loads.name
  member  = google_service_account.function.member
}

# No caller from outside: only Eventarc, as the same account.
resource "google_cloud_run_v2_service" "load" {
  count    = var.function_image == "" ? 0 : 1
  name     = "lake-load"
  location = var.region
  ingress  = "INGRESS_TRAFFIC_INTERNAL_ONLY"

  template {
    service_account = google_service_account.function.email
    # A notification that is not answered within ten minutes comes again.
    timeout                          = "600s"
    max_instance_request_concurrency = 4

    scaling {
      max_instance_count = 10
    }

    containers {
      image   = var.function_image
      command = ["uvicorn"]
      args    = ["--factory", "lake_assets.warehouse.gcp.load_function:application", "--host", "0.0.0.0", "--port", "8080"]

      # DuckDB and Arrow are in each process.
      resources {
        limits = {
          cpu    = "1"
          memory = "2Gi"
        }
      }

      env {
        name  = "LAKE_HOME"
        value = "/tmp/lake"
      }
      env {
        name  = "LAKE_TARGET"
        value = "gcp"
      }
      env {
        name  = "LAKE_BUCKET"
        value = "gs://${google_storage_bucket.lake.name}"
      }
      env {
        name  = "LAKE_GCP_PROJECT"
        value = var.project
      }
      env {
        name  = "LAKE_GCP_LOCATION"
        value = var.location
      }
      env {
        name  = "GOOGLE_CLOUD_PROJECT"
        value = var.project
      }
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_cloud_run_v2_service_iam_member" "eventarc" {
  for_each = toset(google_cloud_run_v2_service.load[*].name)
  name     = each.value
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.function.member
}

resource "google_project_iam_custom_role" "events" {
  role_id     = "lakeEvents"
  title       = "Notifications for the lake's function"
  permissions = ["eventarc.events.receiveEvent"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "function_events" {
  project = var.project
  role    = google_project_iam_custom_role.events.name
  member  = google_service_account.function.member
}

# The bucket publishes its notifications through the project's own account of Cloud Storage.
data "google_storage_project_service_account" "here" {
  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "notifications" {
  role_id     = "lakeNotifications"
  title       = "Notifications of the lake's bucket"
  permissions = ["pubsub.topics.publish"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_member" "bucket_notifications" {
  project = var.project
  role    = google_project_iam_custom_role.notifications.name
  member  = data.google_storage_project_service_account.here.member
}

# Eventarc's own account appears some time after its API is enabled, and then gets its rights.
resource "time_sleep" "eventarc" {
  count           = var.function_image == "" ? 0 : 1
  create_duration = "120s"

  depends_on = [google_project_service.apis]
}

resource "google_eventarc_trigger" "load" {
  for_each        = toset(google_cloud_run_v2_service.load[*].name)
  name            = "lake-load"
  location        = lower(var.location)
  service_account = google_service_account.function.email

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }
  matching_criteria {
    attribute = "bucket"
    value     = google_storage_bucket.lake.name
  }

  destination {
    cloud_run_service {
      service = each.value
      region  = var.region
    }
  }

  # Google refuses a trigger whose bucket may not publish, or whose account may not receive.
  depends_on = [
    google_cloud_run_v2_service_iam_member.eventarc,
    google_project_iam_member.bucket_notifications,
    google_project_iam_member.function_events,
    time_sleep.eventarc,
  ]
}
