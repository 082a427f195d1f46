"""A custom executor in a few lines: runs each task's data as an echo, over the v1 executor API.

Tells nothing but the truth of the protocol: SUBSCRIBE, UPDATE, MESSAGE in JSON over plain HTTP.
"""
import base64
import http.client
import json
import os
import sys
import uuid

AGENT = os.environ["MESOS_AGENT_ENDPOINT"]
IDS = {
    "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
    "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


def call(kind, **payload):
    """Sends one call; the stream's connection stays open, others are closed."""
    connection = http.client.HTTPConnection(AGENT)
    body = json.dumps({"type": kind, **IDS, **payload})
    connection.request("POST", "/api/v1/executor", body, HEADERS)
    answer = connection.getresponse()
    if kind != "SUBSCRIBE":
        if answer.status != 202:
            sys.exit(f"{kind}: {answer.status} {answer.read()!r}")
        connection.close()
    return answer


def update(task, state, **more):
    """Reports a task's state."""
    status = {
        **more,
        "task_id": task,
        "state": state,
        "source": "SOURCE_EXECUTOR",
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
    }
    call("UPDATE", update={"status": status})


def events(stream):
    """Reads RecordIO records: a length, a newline, that many bytes."""
    while True:
        length = stream.readline()
        if not length:
            return
        yield json.loads(stream.read(int(length)))


def main():
    tasks = []
    stream = call("SUBSCRIBE", subscribe={"unacknowledged_tasks": [], "unacknowledged_updates": []})
    for event in events(stream):
        kind = event["type"]
        if kind == "LAUNCH":
            tasks.append(event["launch"]["task"]["task_id"])
            update(tasks[-1], "TASK_RUNNING")
        elif kind == "MESSAGE":
            echo = base64.b64decode(event["message"]["data"])[::-1]
            call("MESSAGE", message={"data": base64.b64encode(echo).decode()})
        elif kind == "KILL":
            update(event["kill"]["task_id"], "TASK_KILLED")
        elif kind == "SHUTDOWN":
            return


if __name__ == "__main__":
    main()
