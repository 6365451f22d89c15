"""A real S3 server with buckets in memory, for the tests of programs.

Prints a line of JSON when it answers: its port, and the keys of two users. `all` may do everything in the bucket
`colearn`, `reader` may only list and read. From then on it requires signatures. Commands on its standard input are
answered with a line each: `list`, `damage KEY`. It ends with its standard input.
"""

import json
import os
import sys
from threading import Thread

import boto3
from moto.core.authorization import ActionAuthenticatorMixin
from moto import settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

BUCKET = "colearn"
ACTIONS = {"all": ["s3:*"], "reader": ["s3:GetObject", "s3:ListBucket"]}


class Quiet(MotoRequestHandler):
    def log(self, type, message, *args):
        pass


def main():
    # The variables of the shell that the tests run in.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"

    def client(service, key={"id": "setup", "secret": "setup"}):
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=key["id"],
            aws_secret_access_key=key["secret"],
        )

    client("s3").create_bucket(Bucket=BUCKET)
    iam = client("iam")
    users = {}
    for user, actions in ACTIONS.items():
        iam.create_user(UserName=user)
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
        }
        iam.put_user_policy(UserName=user, PolicyName="colearn", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        users[user] = {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    say({"port": server.server_port, "users": users})
    s3 = client("s3", users["all"])
    for line in sys.stdin:
        command, _, key = line.strip().partition(" ")
        if command == "list":
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
            say({entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])})
        elif command == "damage":
            content = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            s3.put_object(Bucket=BUCKET, Key=key, Body=content[:-1] + bytes([content[-1] ^ 1]))
            say({})
        else:
            sys.exit(f"unknown command {command}")


def say(answer):
    print(json.dumps(answer), flush=True)


main()
