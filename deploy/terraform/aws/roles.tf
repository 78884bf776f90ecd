# One role for each job. Each action is one that the code calls; the file that calls it stands beside it.

resource "aws_iam_role" "orchestrator" {
  name               = "lake-orchestrator"
  assume_role_policy = var.trust["orchestrator"]
}

resource "aws_iam_role" "connect" {
  name               = "lake-connect"
  assume_role_policy = var.trust["connect"]
}

resource "aws_iam_role" "spark" {
  name               = "lake-spark"
  assume_role_policy = data.aws_iam_policy_document.spark_trust.json
}

resource "aws_iam_role" "analyst" {
  for_each           = var.analysts
  name               = "lake-${each.value}"
  assume_role_policy = var.trust[each.value]
}

moved {
  from = aws_iam_role.analyst
  to   = aws_iam_role.analyst["analyst"]
}

data "aws_iam_policy_document" "spark_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["emr-serverless.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

data "aws_iam_policy_document" "orchestrator" {
  # lake_assets/bucket.py: every layer is read, written and cleaned up by runs.
  statement {
    sid       = "Files"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.lake.arn}/*"]
  }
  statement {
    sid       = "Bucket"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = [aws_s3_bucket.lake.arn]
  }

  # lake_assets/landing/raw_tables.py and raw_catalog.py, through pyiceberg.
  statement {
    sid = "RawTables"
    actions = [
      "glue:GetDatabase", "glue:CreateDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable",
      "glue:UpdateTable", "glue:DeleteTable",
    ]
    resources = concat(["${local.glue}:catalog"], local.glue_raw)
  }

  # lake_assets/warehouse/aws/glue.py and athena.py; marts by dbt-athena, whose rebuilt table takes the old one's place.
  statement {
    sid = "StagingAndMarts"
    actions = [
      "glue:GetDatabase", "glue:GetDatabases", "glue:CreateDatabase", "glue:GetTable", "glue:GetTables",
      "glue:GetTableVersions", "glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable", "glue:DeleteTableVersion",
      "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition", "glue:BatchCreatePartition",
      "glue:BatchUpdatePartition", "glue:BatchDeletePartition",
    ]
    resources = concat(["${local.glue}:catalog"], local.glue_staging, local.glue_marts)
  }

  # lake_assets/warehouse/aws/athena_query.py and dbt-athena.
  statement {
    sid = "Queries"
    actions = [
      "athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution",
      "athena:GetWorkGroup",
    ]
    resources = [aws_athena_workgroup.lake.arn]
  }
  statement {
    sid       = "Catalog"
    actions   = ["athena:GetDataCatalog"]
    resources = ["${local.athena}:datacatalog/AwsDataCatalog"]
  }
  # Athena itself looks at it for each query, whatever database that names.
  statement {
    sid       = "Default"
    actions   = ["glue:GetDatabase"]
    resources = ["${local.glue}:catalog", "${local.glue}:database/default"]
  }

  # lake_assets/conform/runners/emr_serverless.py.
  dynamic "statement" {
    for_each = var.emr_application == "" ? [] : [var.emr_application]
    content {
      sid       = "SparkJobs"
      actions   = ["emr-serverless:StartJobRun", "emr-serverless:ListJobRuns", "emr-serverless:TagResource"]
      resources = ["${local.emr}:/applications/${statement.value}", "${local.emr}:/applications/${statement.value}/jobruns/*"]
    }
  }
  dynamic "statement" {
    for_each = var.emr_application == "" ? [] : [var.emr_application]
    content {
      sid       = "OwnSparkJobs"
      actions   = ["emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"]
      resources = ["${local.emr}:/applications/${statement.value}/jobruns/*"]
    }
  }
  # lake_assets/warehouse/aws/permissions.py: `lake plan` asks what it may not do.
  statement {
    sid       = "OwnRights"
    actions   = ["iam:GetRole", "iam:SimulatePrincipalPolicy"]
    resources = [aws_iam_role.orchestrator.arn]
  }
  statement {
    sid       = "SparkRole"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.spark.arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["emr-serverless.amazonaws.com"]
    }
  }
}

# lake_assets/warehouse/aws/lake_formation.py. Lake Formation knows no resources in IAM: its own grants are narrower.
data "aws_iam_policy_document" "tags" {
  statement {
    sid = "Tags"
    actions = [
      "lakeformation:ListLFTags", "lakeformation:CreateLFTag", "lakeformation:UpdateLFTag",
      "lakeformation:GetResourceLFTags", "lakeformation:AddLFTagsToResource", "lakeformation:ListPermissions",
      "lakeformation:GrantPermissions", "lakeformation:GetDataAccess",
    ]
    resources = ["*"]
  }
}

# With Lake Formation, files are read by rights that it lends.
data "aws_iam_policy_document" "lent" {
  statement {
    sid       = "Lent"
    actions   = ["lakeformation:GetDataAccess"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "connect" {
  # The Iceberg sink's S3FileIO. It removes nothing but what it wrote and could not commit.
  statement {
    sid       = "RawFiles"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.lake.arn}/raw/*"]
  }
  # The Iceberg sink's GlueCatalog; it also makes a table that is missing.
  statement {
    sid       = "RawTables"
    actions   = ["glue:GetDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable"]
    resources = concat(["${local.glue}:catalog"], local.glue_raw)
  }
}

data "aws_iam_policy_document" "spark" {
  # spark/conform.py reads the raw files that it is given, and writes conformed ones and its own log. It asks no catalog.
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.lake.arn}/raw/*", "${aws_s3_bucket.lake.arn}/jobs/*"]
  }
  statement {
    sid       = "Write"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.lake.arn}/conformed/*", "${aws_s3_bucket.lake.arn}/jobs/*"]
  }
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.lake.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["raw/*", "conformed/*", "jobs/*"]
    }
  }
}

data "aws_iam_policy_document" "analyst" {
  for_each = var.analysts

  # With Lake Formation an analyst reads files by the rights that it lends: these would go around its tags.
  dynamic "statement" {
    for_each = var.lake_formation ? [] : ["marts"]
    content {
      sid       = "MartFiles"
      actions   = ["s3:GetObject"]
      resources = ["${aws_s3_bucket.lake.arn}/${statement.value}/*"]
    }
  }
  statement {
    sid       = "OwnResults"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.lake.arn}/athena/${each.value}/*"]
  }
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.lake.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["marts/*", "athena/${each.value}/*"]
    }
  }
  statement {
    sid       = "Location"
    actions   = ["s3:GetBucketLocation"]
    resources = [aws_s3_bucket.lake.arn]
  }
  statement {
    sid       = "Marts"
    actions   = ["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition"]
    resources = concat(["${local.glue}:catalog"], local.glue_marts)
  }
  statement {
    sid       = "Default"
    actions   = ["glue:GetDatabase"]
    resources = ["${local.glue}:catalog", "${local.glue}:database/default"]
  }
  # Drivers (JDBC, ODBC) stream results, and the console lists a group's own queries.
  statement {
    sid = "Queries"
    actions = [
      "athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution",
      "athena:GetWorkGroup", "athena:GetQueryResultsStream", "athena:BatchGetQueryExecution",
      "athena:ListQueryExecutions",
    ]
    resources = [aws_athena_workgroup.analyst[each.value].arn]
  }
  statement {
    sid = "Catalog"
    actions = [
      "athena:GetDataCatalog", "athena:GetDatabase", "athena:GetTableMetadata", "athena:ListDatabases",
      "athena:ListTableMetadata",
    ]
    resources = ["${local.athena}:datacatalog/AwsDataCatalog"]
  }
}

# BI tools and the console begin with these lists, of which IAM knows no resources.
data "aws_iam_policy_document" "lists" {
  statement {
    sid       = "Lists"
    actions   = ["athena:ListDataCatalogs", "athena:ListWorkGroups"]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "orchestrator" {
  name   = "lake"
  role   = aws_iam_role.orchestrator.id
  policy = data.aws_iam_policy_document.orchestrator.json
}

resource "aws_iam_role_policy" "tags" {
  count  = var.lake_formation ? 1 : 0
  name   = "tags"
  role   = aws_iam_role.orchestrator.id
  policy = data.aws_iam_policy_document.tags.json
}

resource "aws_iam_role_policy" "lent" {
  for_each = var.lake_formation ? var.analysts : toset([])
  name     = "lent"
  role     = aws_iam_role.analyst[each.value].id
  policy   = data.aws_iam_policy_document.lent.json
}

resource "aws_iam_role_policy" "lists" {
  for_each = var.analysts
  name     = "lists"
  role     = aws_iam_role.analyst[each.value].id
  policy   = data.aws_iam_policy_document.lists.json
}

resource "aws_iam_role_policy" "connect" {
  name   = "lake"
  role   = aws_iam_role.connect.id
  policy = data.aws_iam_policy_document.connect.json
}

resource "aws_iam_role_policy" "spark" {
  name   = "lake"
  role   = aws_iam_role.spark.id
  policy = data.aws_iam_policy_document.spark.json
}

resource "aws_iam_role_policy" "analyst" {
  for_each = var.analysts
  name     = "lake"
  role     = aws_iam_role.analyst[each.value].id
  policy   = data.aws_iam_policy_document.analyst[each.value].json
}

moved {
  from = aws_iam_role_policy.analyst
  to   = aws_iam_role_policy.analyst["analyst"]
}
