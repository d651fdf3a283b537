"""Publishers that die: `python -m tests.mlflow.mortal URI FLEET`, one JSON line a step.

Each publisher is a fork of this process, which has MLflow loaded, and kills itself with SIGKILL
when a request was answered: after the first one, after the second, …, until one lives to the end.
For every step: it dies there, its successor dies there too, a third one ends.
"""

import json
import os
import signal
import sys

import requests

from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.client import connect
from tests.mlflow.nights import publishing, slight

MOST = 60


def dying_after(step):
    """Kill this process when so many requests were answered."""
    count, ask = [0], requests.Session.request

    def counted(self, *args, **kwargs):
        answer = ask(self, *args, **kwargs)
        count[0] += 1
        if count[0] == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    requests.Session.request = counted


def forked(work, step=None):
    """Return how a fork of this process ended that does some work: 0, or the signal's number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if step is not None:
                dying_after(step)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(uri, fleet):
    content = slight()
    server = connect(Mlflow(uri=uri, retries=0))
    for step in range(1, MOST):

        def work(name=f"{fleet}-{step}"):
            publishing(server, content, name).publish()

        ended = [forked(work, step), forked(work, step), forked(work)]
        told = json.dumps({"fleet": f"{fleet}-{step}", "ended": ended})
        sys.stdout.write(told + "\n")
        sys.stdout.flush()
        if ended[0] == 0:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
