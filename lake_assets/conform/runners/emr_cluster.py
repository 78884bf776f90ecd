"""A cluster that EMR makes for one job: its size, who may do what, and that it ends by itself."""

from dataclasses import dataclass

from lake_assets.conform.runner import SparkJob
from lake_assets.conform.runners.environment import given, needed, whole

# Ending or ended: nothing more is to be done.
OVER = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


@dataclass(frozen=True, slots=True)
class EmrCluster:
    """`instances` counts all machines, the first among them. `subnet` may be empty: AWS then takes its default one.
    `bootstrap` is the URL of a script that each machine runs first, or empty."""

    release: str
    machine: str
    instances: int
    service_role: str
    profile: str
    subnet: str
    bootstrap: str

    @classmethod
    def from_environment(cls) -> "EmrCluster":
        """Raises SettingsError naming the variable to set."""
        what = "the EMR release of the clusters to make, or LAKE_EMR_CLUSTER to a cluster's id"
        return cls(
            release=needed("LAKE_EMR_RELEASE", what),
            machine=given("LAKE_EMR_MACHINE", "m6i.xlarge"),
            instances=whole("LAKE_EMR_MACHINES", 3),
            service_role=given("LAKE_EMR_SERVICE_ROLE", "EMR_DefaultRole"),
            profile=given("LAKE_EMR_INSTANCE_PROFILE", "EMR_EC2_DefaultRole"),
            subnet=given("LAKE_EMR_SUBNET"),
            bootstrap=given("LAKE_EMR_BOOTSTRAP"),
        )

    def request(self, job: SparkJob, step: dict[str, object], logs: str, until: float) -> dict[str, object]:
        """What `run_job_flow` takes. `logs` is a URL. `until` is when the cluster is over at the latest, in seconds
        since 1970, for the reaper."""
        placed = {"Ec2SubnetId": self.subnet} if self.subnet else {}
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
                # The cluster ends when its only step has ended, well or badly, and nothing keeps it.
                "KeepJobFlowAliveWhenNoSteps": False,
                "TerminationProtected": False,
                **placed,
            },
            "BootstrapActions": [first] if self.bootstrap else [],
            "Steps": [step],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
