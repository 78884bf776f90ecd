# Only with lake_formation. The user who applies this must be an administrator of Lake Formation; the lake's roles are not.
# Hybrid access: analysts are opted in to Lake Formation on marts, everything else goes on by IAM.

locals {
  formation        = var.lake_formation ? toset(["on"]) : toset([])
  formation_reads = {
    for pair in setproduct(var.marts, var.analysts) :
    "${pair[1]} of ${pair[0]}" => { mart = pair[0], analyst = pair[1] } if var.lake_formation
  }
  formation_raw    = var.lake_formation ? var.domains : toset([])
  formation_tagged = var.lake_formation ? toset(concat([for asset in var.assets : "${asset}_staging"], tolist(var.marts))) : toset([])
}

resource "aws_lakeformation_resource" "marts" {
  for_each                = local.formation
  arn                     = "${aws_s3_bucket.lake.arn}/marts"
  use_service_linked_role = true
  hybrid_access_enabled   = true
}

# Even in hybrid mode a table is created at a registered location only with this right.
resource "aws_lakeformation_permissions" "orchestrator_location" {
  for_each    = local.formation
  principal   = aws_iam_role.orchestrator.arn
  permissions = ["DATA_LOCATION_ACCESS"]
  data_location {
    arn = aws_lakeformation_resource.marts["on"].arn
  }
}

# The databases are made here, so the roles have no implicit rights on them. Tagging needs ALL with the grant option.
resource "aws_lakeformation_permissions" "orchestrator_databases" {
  for_each                      = local.formation_tagged
  principal                     = aws_iam_role.orchestrator.arn
  permissions                   = ["ALL"]
  permissions_with_grant_option = ["ALL"]
  database {
    name = aws_glue_catalog_database.lake[each.value].name
  }
}

resource "aws_lakeformation_permissions" "orchestrator_tables" {
  for_each                      = local.formation_tagged
  principal                     = aws_iam_role.orchestrator.arn
  permissions                   = ["ALL"]
  permissions_with_grant_option = ["ALL"]
  table {
    database_name = aws_glue_catalog_database.lake[each.value].name
    wildcard      = true
  }
}

resource "aws_lakeformation_permissions" "orchestrator_raw" {
  for_each    = local.formation_raw
  principal   = aws_iam_role.orchestrator.arn
  permissions = ["ALL"]
  database {
    name = aws_glue_catalog_database.lake[each.value].name
  }
}

resource "aws_lakeformation_permissions" "orchestrator_raw_tables" {
  for_each    = local.formation_raw
  principal   = aws_iam_role.orchestrator.arn
  permissions = ["ALL"]
  table {
    database_name = aws_glue_catalog_database.lake[each.value].name
    wildcard      = true
  }
}

resource "aws_lakeformation_permissions" "connect_raw" {
  for_each    = local.formation_raw
  principal   = aws_iam_role.connect.arn
  permissions = ["CREATE_TABLE", "DESCRIBE"]
  database {
    name = aws_glue_catalog_database.lake[each.value].name
  }
}

resource "aws_lakeformation_permissions" "connect_raw_tables" {
  for_each    = local.formation_raw
  principal   = aws_iam_role.connect.arn
  permissions = ["ALTER", "DESCRIBE", "INSERT", "SELECT"]
  table {
    database_name = aws_glue_catalog_database.lake[each.value].name
    wildcard      = true
  }
}

# The tags of lake_assets/compile/lake_formation.py, with all their values. `lake apply` assigns them and grants by them.
resource "aws_lakeformation_lf_tag" "layer" {
  for_each = local.formation
  key      = "lake_layer"
  values   = ["mart", "staging"]
}

resource "aws_lakeformation_lf_tag" "classification" {
  for_each = local.formation
  key      = "lake_classification"
  values   = ["confidential", "internal", "personal", "public", "restricted"]
}

resource "aws_lakeformation_permissions" "orchestrator_layer" {
  for_each    = local.formation
  principal   = aws_iam_role.orchestrator.arn
  permissions = ["ASSOCIATE", "DESCRIBE", "GRANT_WITH_LF_TAG_EXPRESSION"]
  lf_tag {
    key    = aws_lakeformation_lf_tag.layer["on"].key
    values = aws_lakeformation_lf_tag.layer["on"].values
  }
}

resource "aws_lakeformation_permissions" "orchestrator_classification" {
  for_each    = local.formation
  principal   = aws_iam_role.orchestrator.arn
  permissions = ["ASSOCIATE", "DESCRIBE"]
  lf_tag {
    key    = aws_lakeformation_lf_tag.classification["on"].key
    values = aws_lakeformation_lf_tag.classification["on"].values
  }
}

# An analyst's access to marts is decided by Lake Formation alone: roles.tf gives that role no files of marts then.
resource "aws_lakeformation_opt_in" "analyst_databases" {
  for_each = local.formation_reads
  principal {
    data_lake_principal_identifier = aws_iam_role.analyst[each.value.analyst].arn
  }
  resource_data {
    database {
      name = aws_glue_catalog_database.lake[each.value.mart].name
    }
  }
}

resource "aws_lakeformation_opt_in" "analyst_tables" {
  for_each = local.formation_reads
  principal {
    data_lake_principal_identifier = aws_iam_role.analyst[each.value.analyst].arn
  }
  resource_data {
    table {
      database_name = aws_glue_catalog_database.lake[each.value.mart].name
      wildcard      = true
    }
  }
}
