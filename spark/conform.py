"""The job that a cluster runs: `spark-submit ... conform.py --request URL`, with Dagster Pipes' two arguments.

It reads the contract, the windows and the names of their raw files from the request, and returns the result through
Pipes.
"""

import argparse
import json
import sys

from dagster_pipes import (
    PipesCliArgsParamsLoader,
    PipesContext,
    open_dagster_pipes,  # pyright: ignore[reportUnknownVariableType]
)
from job import EntrypointError, run
from messages import BucketMessageWriter
from pyspark.sql import SparkSession

from lake_assets.bucket import read
from lake_assets.catalog.json_codec import from_json, to_json
from lake_assets.conform.request import Request


def main() -> int:
    parser = argparse.ArgumentParser(description="Conform windows of one asset; started by the lake, not by hand.")
    parser.add_argument("--request", required=True, help="URL of the request, JSON")
    arguments, _ = parser.parse_known_args()
    with open_dagster_pipes(params_loader=PipesCliArgsParamsLoader(), message_writer=BucketMessageWriter()) as pipes:
        return _answer(pipes, arguments.request)


def _answer(pipes: PipesContext, url: str) -> int:
    content = read(url)
    if content is None:
        pipes.log.error(f"there is no request at {url}")
        return 1
    request = from_json(Request, content.decode())
    spark = SparkSession.builder.appName(request.name).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    pipes.log.info(f"Spark {spark.version}, {spark.sparkContext.applicationId}, {spark.sparkContext.master}")
    try:
        answer = run(spark, request, pipes.log.info)
    except EntrypointError as error:
        pipes.report_custom_message({"refused": str(error)})
        return 1
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        pipes.report_custom_message({"error": f" Last line of the error: {lines[-1]}"})
        raise
    pipes.report_custom_message({"answer": json.loads(to_json(answer))})
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
