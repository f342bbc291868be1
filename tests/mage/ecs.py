"""AWS for tests: moto's ECS and EC2 on a free loopback port, with the cluster that a Mage main server expects.

    python ecs.py        prints one line of JSON when ready, and ends when its standard input closes

A Mage main server on ECS looks for a running task that is not a workspace and copies its network, CPU and memory:
that task is made here. Where moto differs from AWS in what Mage depends on, moto is corrected:

- a task says its CPU and memory (without them every create fails in Mage);
- tasks run until they are stopped (moto lets them stop by themselves after a look);
- a list without `desiredStatus` holds the tasks that shall run (moto lists the stopped ones too).
"""

import json
import os
import sys

REGION = "us-east-1"
CLUSTER = "mage"
TASK_DEFINITION = "mage-task"
CONTAINER = "mage-container"


def correct_moto():
    from moto.ecs.models import EC2ContainerServiceBackend, Task

    def text(name):
        return property(lambda task: task.overrides.get(name))

    Task.cpu = text("cpu")
    Task.memory = text("memory")
    Task.advance = lambda task: None

    list_all = EC2ContainerServiceBackend.list_tasks

    def list_tasks(self, cluster, instance=None, family=None, started_by=None, service=None, status=None):
        return list_all(self, cluster, instance, family, started_by, service, status or "RUNNING")

    EC2ContainerServiceBackend.list_tasks = list_tasks


def make_cluster(endpoint):
    import boto3

    ecs, ec2 = (boto3.client(name, endpoint_url=endpoint, region_name=REGION) for name in ("ecs", "ec2"))
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(
        family=TASK_DEFINITION,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="512",
        memory="1024",
        containerDefinitions=[{"name": CONTAINER, "image": "mageai/mageai:0.9.80", "cpu": 512, "memory": 1024}],
    )
    network = {
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }
    ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=TASK_DEFINITION,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
        overrides={"cpu": "512", "memory": "1024"},
    )


def main():
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION=REGION)
    from moto.server import ThreadedMotoServer

    correct_moto()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    make_cluster(endpoint)
    ready = {
        "endpoint": endpoint,
        "region": REGION,
        "cluster": CLUSTER,
        "task_definition": TASK_DEFINITION,
        "container": CONTAINER,
    }
    print(json.dumps(ready), flush=True)
    # The test that started this holds the other end: when it is gone, however it ended, so is this.
    sys.stdin.read()


if __name__ == "__main__":
    main()
