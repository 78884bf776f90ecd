"""A cluster that EMR creates for one job, and that ends by itself: its size and its roles."""

from dataclasses import dataclass

from lake_assets.conform.runner import SparkJob
from lake_assets.conform.runners.environment import given, needed, whole

# Ending or ended: there is nothing to end.
OVER = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


@dataclass(frozen=True, slots=True)
class EmrCluster:
    """Kind of cluster. `instances` counts all machines, including the first. An empty `subnet` is AWS's default one.

    `bootstrap` is the URL of a script that each machine runs first, or empty.
    """

    release: str
    machine: str
    instances: int
    service_role: str
    profile: str
    subnet: str
    bootstrap: str

    @classmethod
    def from_environment(cls) -> "EmrCluster":
        """Read the environment variables. Raises SettingsError naming the variable to set."""
        meaning = "the EMR release of the clusters to create, or LAKE_EMR_CLUSTER to a cluster's id"
        return cls(
            release=needed("LAKE_EMR_RELEASE", meaning),
            machine=given("LAKE_EMR_MACHINE", "m6i.xlarge"),
            instances=whole("LAKE_EMR_MACHINES", 3),
            service_role=given("LAKE_EMR_SERVICE_ROLE", "EMR_DefaultRole"),
            profile=given("LAKE_EMR_INSTANCE_PROFILE", "EMR_EC2_DefaultRole"),
            subnet=given("LAKE_EMR_SUBNET"),
            bootstrap=given("LAKE_EMR_BOOTSTRAP"),
        )

    def request(self, job: SparkJob, step: dict[str, object], logs: str, until: float) -> dict[str, object]:
        """Return the arguments of `run_job_flow`. `logs` is a URL.

        `until` is the cluster's latest end, in seconds since 1970; after it the cluster is an orphan.
        """
        placement = {"Ec2SubnetId": self.subnet} if self.subnet else {}
        first = {"Name": "bootstrap", "ScriptBootstrapAction": {"Path": self.bootstrap}}
        tags = {**job.tags, "lake-job": job.name, "lake-until": str(int(until))}
        return {
            "Name": job.name,
            "ReleaseLabel": self.release,
            "LogUri": logs,
            "Applications": [{"Name": "Spark"}],
            "ServiceRole": self.service_role,
            "JobFlowRole": self.profile,
            "Instances": {
                "MasterInstanceType": self.machine,
                "SlaveInstanceType": self.machine,
                "InstanceCount": self.instances,
                # The cluster ends when its only step has ended, whether it failed or not.
                "KeepJobFlowAliveWhenNoSteps": False,
                "TerminationProtected": False,
                **placement,
            },
            "BootstrapActions": [first] if self.bootstrap else [],
            "Steps": [step],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
