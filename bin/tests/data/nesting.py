"""A custom executor whose tasks are containers: it has the agent launch each in its own container.

A task's data is its script. It ends as the container does, whose status is the message.
"""
import base64
import http.client
import json
import sys
import threading

sys.dont_write_bytecode = True
import executor  # noqa: E402


def ask(kind, field, **what):
    """Sends one call of the agent's API, which must be accepted, and gives the answer."""
    connection = http.client.HTTPConnection(executor.AGENT)
    connection.request("POST", "/api/v1", json.dumps({"type": kind, field: what}), executor.HEADERS)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        sys.exit(f"{kind}: {answer.status} {body!r}")
    return json.loads(body) if body else {}


def run(task, own):
    """The whole life of a task."""
    container = {"value": task["task_id"]["value"], "parent": own}
    script = base64.b64decode(task["data"]).decode()
    ask("LAUNCH_NESTED_CONTAINER", "launch_nested_container", container_id=container,
        command={"shell": True, "value": script})
    executor.update(task["task_id"], "TASK_RUNNING")
    ended = ask("WAIT_NESTED_CONTAINER", "wait_nested_container", container_id=container)
    status = ended["wait_nested_container"].get("exit_status")
    ask("REMOVE_NESTED_CONTAINER", "remove_nested_container", container_id=container)
    state = "TASK_FINISHED" if status == 0 else "TASK_FAILED"
    executor.update(task["task_id"], state, message=str(status))


def main():
    stream = executor.call(
        "SUBSCRIBE", subscribe={"unacknowledged_tasks": [], "unacknowledged_updates": []})
    own = None
    for event in executor.events(stream):
        kind = event["type"]
        if kind == "SUBSCRIBED":
            own = event["subscribed"]["container_id"]
        elif kind == "LAUNCH":
            threading.Thread(target=run, args=(event["launch"]["task"], own), daemon=True).start()
        elif kind == "KILL":
            container = {"value": event["kill"]["task_id"]["value"], "parent": own}
            ask("KILL_NESTED_CONTAINER", "kill_nested_container", container_id=container, signal=15)
        elif kind == "SHUTDOWN":
            return


main()
