#!/usr/bin/env python3
"""An executor: attaches to a pool, runs what it is given and reports back.

    python3 executor.py --pool default --slots 2

Its work is to turn text into upper case, one word after the other, so that there is time to
interrupt it. What it shows is the frame around the work: leases that are renewed, boundaries that
are committed, runs that are interrupted or lost, and connections that break.
"""

import argparse
import signal
import threading
import time
import uuid

import grpc
from google.protobuf.duration_pb2 import Duration
from keelson_stubs import Keelson

PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN)


class Run:
    """One run in the hands of this executor, from its assignment to its end."""

    def __init__(self, executor, assignment):
        self.assignment = assignment
        self.interrupted = threading.Event()
        # Set when the lease is gone: whatever is done from here on, nobody wants it.
        self.lost = threading.Event()
        self._executor = executor
        self._fields = {
            "runtime_id": assignment.runtime_id,
            "run_id": assignment.run_id,
            "generation": assignment.generation,
        }
        if assignment.interrupt_requested:
            self.interrupted.set()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self):
        self._thread.start()

    def join(self):
        self._thread.join()

    def _work(self):
        try:
            self._run()
        except Exception as error:  # An executor outlives whatever its work does.
            self._report("FailRun", error=str(error), recoverable=True)
        finally:
            self._executor.ended(self)

    def _run(self):
        done = []
        for word in self._text().split():
            if self.lost.is_set():
                print("run %s: lost" % self.assignment.run_id, flush=True)
                return
            if self.interrupted.is_set():
                self._report("CancelRun", requeue=False)
                print("run %s: cancelled" % self.assignment.run_id, flush=True)
                return
            time.sleep(self._executor.pace)
            done.append(word.upper())
        self._commit_and_complete(" ".join(done))

    def _text(self):
        appends = self.assignment.primitive.appends
        return " ".join(append.content.text for append in appends)

    def _commit_and_complete(self, text):
        """Reports in two steps: the inputs were applied, then the result."""
        primitive = self.assignment.primitive
        boundary = self._report(
            "CommitBoundary",
            boundary=primitive.boundary,
            contributing_input_ids=self.assignment.staged_input_ids,
            message_count=1,
        )
        if boundary is None:
            return
        result = self._executor.keelson.runtime.RunResult(text=text)
        if self._report("CompleteRun", result=result) is not None:
            sequence = boundary.receipt.sequence
            run_id = self.assignment.run_id
            print("run %s: receipt %d, completed: %s" % (run_id, sequence, text), flush=True)

    def _report(self, method, **fields):
        """Sends a report until it is answered: repeating one is answered as the first time.

        Answers None when the run is not this executor's any more.
        """
        keelson = self._executor.keelson
        request = getattr(keelson.executor, method + "Request")(**self._fields, **fields)
        while not self.lost.is_set():
            try:
                return getattr(keelson.executors, method)(request, timeout=30)
            except grpc.RpcError as error:
                if error.code() not in PASSING:
                    reason = keelson.reason(error) or error.details()
                    print("run %s: %s" % (self.assignment.run_id, reason), flush=True)
                    self.lost.set()
                    return None
            time.sleep(0.2)
        return None


class Executor:
    """One life of an executor process: an incarnation, its runs and its leases."""

    def __init__(self, keelson, options):
        self.keelson = keelson
        self.pace = options.pace
        self._identity = {
            "executor_id": options.name,
            "incarnation_id": str(uuid.uuid4()),
        }
        self._options = options
        self._runs = {}
        self._lock = threading.Lock()
        self._ended = 0
        self._renew_now = threading.Event()
        self._stopping = threading.Event()
        self._stream = None
        self._ttl = options.lease_ttl

    def serve(self):
        """Attaches, and attaches again whenever the stream ends, until told to stop."""
        threading.Thread(target=self._keep_renewing, daemon=True).start()
        while not self._stopping.is_set():
            request = self.keelson.executor.AttachRequest(
                pool=self._options.pool,
                slots=self._options.slots,
                lease_ttl=Duration(seconds=self._ttl),
                held_run_ids=self._held(),
                **self._identity,
            )
            try:
                self._stream = self.keelson.executors.Attach(request)
                for message in self._stream:
                    self._take(message)
            except grpc.RpcError as error:
                if self._is_dead(error):
                    raise SystemExit("this incarnation is over: start again")
                if error.code() not in PASSING and not self._stopping.is_set():
                    raise
            self._stopping.wait(0.5)
        self._leave()

    def stop(self):
        """Takes no more work; runs in flight are finished."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.cancel()

    def ended(self, run):
        with self._lock:
            self._runs.pop(run.assignment.run_id, None)
            self._ended += 1
            is_enough = self._options.runs and self._ended >= self._options.runs
        if is_enough:
            self.stop()

    def _held(self):
        with self._lock:
            return list(self._runs)

    def _run(self, run_id):
        with self._lock:
            return self._runs.get(run_id)

    def _take(self, message):
        kind = message.WhichOneof("message")
        if kind == "heartbeat":
            print("attached", flush=True)
        elif kind == "run_assigned":
            self._begin(message.run_assigned)
        elif kind == "lease_lost":
            self._lose(message.lease_lost.run_id)
        elif kind == "control":
            self._obey(message.control)

    def _begin(self, assignment):
        with self._lock:
            if assignment.run_id in self._runs:
                return
            run = self._runs[assignment.run_id] = Run(self, assignment)
        # The renewal that names a run acknowledges it; one that nobody acknowledges is taken back.
        self._renew_now.set()
        run.start()

    def _lose(self, run_id):
        run = self._run(run_id)
        if run:
            run.lost.set()

    def _obey(self, control):
        run = self._run(control.run_id)
        if not run:
            return
        kind = control.WhichOneof("control")
        if kind == "interrupt":
            run.interrupted.set()
        elif kind in ("stop", "destroy", "unregister"):
            run.lost.set()

    def _keep_renewing(self):
        """Renews every third of the leases' time to live, and at once after an assignment."""
        while True:
            self._renew_now.wait(self._ttl / 3)
            self._renew_now.clear()
            request = self.keelson.executor.RenewLeasesRequest(
                held_run_ids=self._held(), **self._identity
            )
            try:
                renewed = self.keelson.executors.RenewLeases(request, timeout=self._ttl / 3)
            except grpc.RpcError as error:
                if self._is_dead(error):
                    for run_id in self._held():
                        self._lose(run_id)
                continue
            for run_id in renewed.unknown_run_ids:
                self._lose(run_id)

    def _is_dead(self, error):
        return self.keelson.reason(error) == "EXECUTOR_INCARNATION_DEAD"

    def _leave(self):
        """Finishes what is in flight, then gives the leases back."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.join()
        request = self.keelson.executor.DetachRequest(**self._identity)
        self.keelson.executors.Detach(request, timeout=10)
        print("detached", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="127.0.0.1:7420", help="host:port of the server")
    parser.add_argument("--name", default="python-executor", help="stable name of this executor")
    parser.add_argument("--pool", default="default", help="pool to serve")
    parser.add_argument("--slots", type=int, default=1, help="most runs at once")
    parser.add_argument("--lease-ttl", type=int, default=30, help="seconds a lease lives")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds per word")
    parser.add_argument("--runs", type=int, default=0, help="stop after so many runs")
    options = parser.parse_args()

    with grpc.insecure_channel(options.address) as channel:
        executor = Executor(Keelson(channel), options)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: executor.stop())
        executor.serve()


if __name__ == "__main__":
    main()
