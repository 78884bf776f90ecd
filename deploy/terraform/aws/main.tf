terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region
}

data "aws_caller_identity" "here" {}

locals {
  glue      = "arn:aws:glue:${var.region}:${data.aws_caller_identity.here.account_id}"
  athena    = "arn:aws:athena:${var.region}:${data.aws_caller_identity.here.account_id}"
  emr       = "arn:aws:emr-serverless:${var.region}:${data.aws_caller_identity.here.account_id}"
  databases = toset(concat([for asset in var.assets : "${asset}_staging"], tolist(var.domains), tolist(var.marts)))

  # Catalog, database and table are three resources to Glue: a right on a table needs all three.
  glue_raw     = flatten([for name in var.domains : ["${local.glue}:database/${name}", "${local.glue}:table/${name}/*"]])
  glue_staging = flatten([for name in var.assets : ["${local.glue}:database/${name}_staging", "${local.glue}:table/${name}_staging/*"]])
  glue_marts   = flatten([for name in var.marts : ["${local.glue}:database/${name}", "${local.glue}:table/${name}/*"]])
}

resource "aws_s3_bucket" "lake" {
  bucket = var.bucket
}

# Iceberg's snapshots are the history. Versions would keep every file that a clean-up removes.
resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.id
  versioning_configuration {
    status = "Disabled"
  }
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket                  = aws_s3_bucket.lake.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# No request without TLS, whatever its own policy allows.
data "aws_iam_policy_document" "only_tls" {
  statement {
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.lake.arn, "${aws_s3_bucket.lake.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.id
  policy = data.aws_iam_policy_document.only_tls.json
}

# Only what can be rebuilt may expire: nothing below raw/, conformed/ and marts/.
resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "query-results"
    status = "Enabled"
    filter {
      prefix = "athena/results/"
    }
    expiration {
      days = 7
    }
  }

  dynamic "rule" {
    for_each = var.analysts
    content {
      id     = "${rule.value}-results"
      status = "Enabled"
      filter {
        prefix = "athena/${rule.value}/"
      }
      expiration {
        days = 7
      }
    }
  }

  rule {
    id     = "spark-logs"
    status = "Enabled"
    filter {
      prefix = "jobs/logs/"
    }
    expiration {
      days = 30
    }
  }

  rule {
    id     = "broken-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

# Without a location: pyiceberg would put raw tables there instead of below raw/.
resource "aws_glue_catalog_database" "lake" {
  for_each = local.databases
  name     = each.value

  lifecycle {
    prevent_destroy = true
  }
}

# Not enforced: dbt could not say where a mart's files go then, and Athena would put them among the query results.
resource "aws_athena_workgroup" "lake" {
  name = "lake"
  configuration {
    enforce_workgroup_configuration = false
    result_configuration {
      output_location = "s3://${aws_s3_bucket.lake.id}/athena/results/"
    }
  }
}

# One for each group: a right to read a workgroup's location is one to the results of all its queries.
resource "aws_athena_workgroup" "analyst" {
  for_each = var.analysts
  name     = each.value
  configuration {
    enforce_workgroup_configuration = true
    bytes_scanned_cutoff_per_query  = var.analyst_scan_limit
    result_configuration {
      output_location = "s3://${aws_s3_bucket.lake.id}/athena/${each.value}/"
    }
  }
}

moved {
  from = aws_athena_workgroup.analyst
  to   = aws_athena_workgroup.analyst["analyst"]
}
