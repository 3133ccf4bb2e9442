#!/usr/bin/env python3
"""A process from its registration to its end: registers it, claims it, works and ends it.

    python3 process.py --process count-1 --steps 5

The registration may be repeated, and so may everything that the worker says: every step has a
replay key. Kill it half-way and start it again: the next worker claims the process when the lease
of the first one is over, goes on behind the last step that was kept, and ends it.
"""

import argparse
import os
import socket
import threading
import time
import uuid

import grpc
from google.protobuf.duration_pb2 import Duration
from keelson_stubs import Keelson

# These say that nothing is wrong with the call: sending it again is safe, and may help.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)
PATIENCE_SECONDS = 60


def repeat(call, request, **options):
    """Makes a call that may be repeated, until it is answered or patience is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.1
    while True:
        try:
            return call(request, timeout=30, **options)
        except grpc.RpcError as error:
            if error.code() not in PASSING or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2)


def register(keelson, process_id, kind, steps):
    """Registers the process; the same registration again changes nothing."""
    process = keelson.process
    registration = process.ProcessRegistration(
        process_id=process_id,
        disposition=process.ProcessDisposition["PROCESS_DISPOSITION_RERUNNABLE"],
        env_ref="python",
    )
    registration.input.engine.kind = kind
    registration.input.engine.payload.struct_value.fields["steps"].number_value = steps
    registration.provenance.host.scope = "examples/python"
    registration.event_types.add(name="progress")
    request = process.RegisterProcessRequest(registration=registration)
    answer = repeat(keelson.processes.RegisterProcess, request)
    print("%s: %s" % (process_id, "registered" if answer.created else "known"), flush=True)


class Hold:
    """A hold on a process, renewed in the background until it is lost or over."""

    def __init__(self, keelson, lease):
        self._keelson = keelson
        self.process_id = lease.process_id
        self.proof = keelson.process.ProcessLeaseProof(
            lease_token=lease.lease_token, generation=lease.generation
        )
        self.lost = threading.Event()
        self.cancelled = threading.Event()
        self._over = threading.Event()
        self._alive_until = time.monotonic() + lease.remaining.ToTimedelta().total_seconds()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def end(self):
        self._over.set()
        self._thread.join()

    def _renew(self):
        request = self._keelson.process.RenewLeaseRequest(
            process_id=self.process_id, lease=self.proof
        )
        while not self._over.wait(max(0.1, (self._alive_until - time.monotonic()) / 3)):
            asked = time.monotonic()
            try:
                answer = self._keelson.processes.RenewLease(request, timeout=10)
            except grpc.RpcError as error:
                # What cannot be renewed in time is somebody else's: stop before that is certain.
                late = time.monotonic() >= self._alive_until
                if late or error.code() not in PASSING:
                    self.lost.set()
                    return
                continue
            self._alive_until = asked + answer.remaining.ToTimedelta().total_seconds()
            if answer.HasField("cancel_request"):
                self.cancelled.set()


def steps_done(keelson, process_id):
    """How many steps were kept already, by this worker or an earlier one."""
    request = keelson.process.GetProcessRequest(process_id=process_id)
    return repeat(keelson.processes.GetProcess, request).process.event_counts["progress"]


def work(keelson, hold, steps, pace):
    """Does what is left to be done; answers how the process ends, or nothing when it was lost."""
    output = keelson.process.ProcessOutput()
    for step in range(steps_done(keelson, hold.process_id) + 1, steps + 1):
        if hold.lost.wait(pace):
            return None
        if hold.cancelled.is_set():
            output.cancelled.message = "cancelled after %d steps" % (step - 1)
            return output
        request = keelson.process.AppendEventRequest(
            process_id=hold.process_id,
            event_type="progress",
            replay_key="step-%d" % step,
            lease=hold.proof,
        )
        request.payload.struct_value.fields["done"].number_value = step
        event = repeat(keelson.processes.AppendEvent, request).event
        print("%s: step %d is event %d" % (hold.process_id, step, event.sequence), flush=True)
    output.success.value.number_value = steps
    return output


def serve_one(keelson, owner, options):
    """Claims one process and does it; false when there was none in time."""
    request = keelson.process.ClaimNextRequest(
        kinds=[options.kind],
        owner=owner,
        ttl=Duration(seconds=options.lease_seconds),
        timeout=Duration(seconds=20),
    )
    claimed = repeat(keelson.processes.ClaimNext, request)
    if not claimed.HasField("lease"):
        return False
    lease = claimed.lease
    print("%s: claimed, generation %d" % (lease.process_id, lease.generation), flush=True)
    hold = Hold(keelson, lease)
    try:
        steps = int(claimed.process.input.engine.payload.struct_value["steps"])
        output = work(keelson, hold, steps, options.pace)
        if output is not None:
            request = keelson.process.CompleteProcessRequest(
                process_id=hold.process_id, output=output, lease=hold.proof
            )
            repeat(keelson.processes.CompleteProcess, request)
    except grpc.RpcError as error:
        if keelson.reason(error) != "LEASE_LOST":
            raise
        print("%s: lost" % hold.process_id, flush=True)
    finally:
        hold.end()
    return True


def wait(keelson, process_id):
    """Waits for the end of a process, however long that takes."""
    request = keelson.process.AwaitProcessRequest(
        process_id=process_id, timeout=Duration(seconds=20)
    )
    while True:
        answer = repeat(keelson.processes.AwaitProcess, request)
        if answer.WhichOneof("outcome") == "ended":
            return answer.ended.output.WhichOneof("output")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="127.0.0.1:7420", help="host:port of the server")
    parser.add_argument("--process", default="count-1", help="name of the process")
    parser.add_argument("--kind", default="counter", help="what the worker claims by")
    parser.add_argument("--steps", type=int, default=5, help="how many steps there are")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds that a step takes")
    parser.add_argument("--lease-seconds", type=int, default=10, help="how long a lease lasts")
    options = parser.parse_args()

    with grpc.insecure_channel(options.address) as channel:
        keelson = Keelson(channel)
        register(keelson, options.process, options.kind, options.steps)
        name = "%s-%d" % (socket.gethostname(), os.getpid())
        owner = keelson.process.ProcessOwner(owner_id=name, incarnation_id=str(uuid.uuid4()))
        ended = threading.Event()

        def await_end():
            print("%s: %s" % (options.process, wait(keelson, options.process)), flush=True)
            ended.set()

        threading.Thread(target=await_end, daemon=True).start()
        while not ended.wait(0.1):
            serve_one(keelson, owner, options)


if __name__ == "__main__":
    main()
