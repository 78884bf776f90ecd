output "environment" {
  description = "The lake's environment variables."
  value = merge(
    {
      LAKE_TARGET           = "aws"
      LAKE_BUCKET           = "s3://${aws_s3_bucket.lake.id}"
      LAKE_ATHENA_WORKGROUP = aws_athena_workgroup.lake.name
      AWS_REGION            = var.region
    },
    var.lake_formation ? { LAKE_ANALYSTS = join(" ", [for role in aws_iam_role.analyst : role.arn]) } : {},
    var.emr_application == "" || var.spark_environment == "" ? {} : {
      LAKE_SPARK_RUNNER      = "emr-serverless"
      LAKE_SPARK_ENVIRONMENT = var.spark_environment
      LAKE_EMR_APPLICATION   = var.emr_application
      LAKE_EMR_ROLE          = aws_iam_role.spark.arn
    },
  )
}

output "roles" {
  description = "ARN of the role of each job."
  value = merge(
    {
      orchestrator = aws_iam_role.orchestrator.arn
      connect      = aws_iam_role.connect.arn
      spark        = aws_iam_role.spark.arn
    },
    { for name, role in aws_iam_role.analyst : name => role.arn },
  )
}
