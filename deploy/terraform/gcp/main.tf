terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.12"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_storage_bucket" "lake" {
  name                        = var.bucket
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Iceberg's snapshots are the history. Versions would keep every file that a clean-up removes.
  versioning {
    enabled = false
  }

  # Google would keep deleted objects for a week and charge for them: each commit replaces the files of its windows.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  # Only what can be rebuilt may expire: nothing below raw/ and conformed/.
  lifecycle_rule {
    condition {
      age            = 30
      matches_prefix = ["jobs/logs/"]
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.apis]
}

# Google stores the output and history of Spark batches here. One of its own would be open to more than the lake's account.
resource "google_storage_bucket" "spark_staging" {
  name                        = "${var.bucket}-spark"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  lifecycle_rule {
    condition {
      age = 30
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.apis]
}

# Closed as the lake closes a dataset that it makes itself: neither the project's readers nor its writers are let in.
resource "google_bigquery_dataset" "staging" {
  for_each    = var.assets
  dataset_id  = "${each.value}_staging"
  location    = var.location
  description = "Staging and quarantine of ${each.value}. Private to the lake: analysts read marts."

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "OWNER"
    user_by_email = google_service_account.orchestrator.email
  }
  # Here, not as a member of a role: this list is complete, so the two would undo each other at each apply.
  dynamic "access" {
    for_each = var.function_image == "" ? [] : [google_service_account.function.email]
    content {
      role          = "WRITER"
      user_by_email = access.value
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_bigquery_dataset" "mart" {
  for_each   = var.marts
  dataset_id = each.value
  location   = var.location

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "OWNER"
    user_by_email = google_service_account.orchestrator.email
  }
  access {
    role           = "READER"
    group_by_email = var.analysts
  }

  # `lake apply` adds further readers, of LAKE_ANALYSTS.
  lifecycle {
    ignore_changes = [access]
  }

  depends_on = [google_project_service.apis]
}
