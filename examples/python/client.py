#!/usr/bin/env python3
"""A client: registers a runtime, gives it work, waits for the results and watches what happens.

    python3 client.py --runtime agent-1 "first text" "second text"

Every input carries an idempotency key made from `--batch` and its place, so running the same
command again does nothing twice: it shows the results of the first time.
"""

import argparse
import threading
import time

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


class Watcher:
    """Prints the events of a runtime, and goes on where it was when the stream breaks."""

    def __init__(self, keelson, runtime_id, revision):
        self._keelson = keelson
        self._after = keelson.runtime.WatchPosition(revision=revision)
        self._runtime_id = runtime_id
        self._stream = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self):
        self._over.set()
        if self._stream is not None:
            self._stream.cancel()
        self._thread.join()

    def _watch(self):
        while not self._over.is_set():
            request = self._keelson.runtime.WatchRuntimeRequest(
                runtime_id=self._runtime_id, after=self._after
            )
            try:
                self._stream = self._keelson.runtimes.WatchRuntime(request)
                for message in self._stream:
                    self._take(message)
            except grpc.RpcError as error:
                if error.code() not in PASSING:
                    return
            self._over.wait(0.2)

    def _take(self, message):
        if message.WhichOneof("message") != "event":
            return
        event = message.event
        self._after.revision = event.revision
        self._after.index = event.index
        print("event %s at revision %d" % (event.event_code, event.revision), flush=True)


def ingest(keelson, runtime_id, key, text):
    """Gives the runtime one input; answers what became of the call."""
    prompt = keelson.runtime.PromptInput(text=text)
    request = keelson.runtime.IngestRequest(
        runtime_id=runtime_id,
        input=keelson.runtime.Input(idempotency_key=key, prompt=prompt),
    )
    return repeat(keelson.runtimes.Ingest, request).WhichOneof("outcome")


def wait(keelson, runtime_id, key):
    """Waits for the end of an input, however long that takes."""
    request = keelson.runtime.AwaitInputRequest(
        runtime_id=runtime_id, idempotency_key=key, timeout=Duration(seconds=20)
    )
    while True:
        completion = repeat(keelson.runtimes.AwaitInput, request).completion
        outcome = completion.WhichOneof("outcome")
        if outcome != "pending":
            return outcome, completion.completed.result.text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="127.0.0.1:7420", help="host:port of the server")
    parser.add_argument("--runtime", default="agent-1", help="id of the runtime")
    parser.add_argument("--pool", default="default", help="pool whose executors serve it")
    parser.add_argument("--batch", default="batch-1", help="the same name does nothing twice")
    parser.add_argument("--watch", action="store_true", help="print events as they come")
    parser.add_argument("texts", nargs="+", help="one input each")
    options = parser.parse_args()

    with grpc.insecure_channel(options.address) as channel:
        keelson = Keelson(channel)
        config = keelson.runtime.RuntimeConfig(pool=options.pool)
        request = keelson.runtime.EnsureRuntimeRequest(runtime_id=options.runtime, config=config)
        ensured = repeat(keelson.runtimes.EnsureRuntime, request)
        watcher = Watcher(keelson, options.runtime, ensured.revision) if options.watch else None
        keys = ["%s/%d" % (options.batch, place) for place in range(len(options.texts))]
        for key, text in zip(keys, options.texts):
            print("%s: %s" % (key, ingest(keelson, options.runtime, key, text)), flush=True)
        for key in keys:
            outcome, text = wait(keelson, options.runtime, key)
            print("%s: %s: %s" % (key, outcome, text), flush=True)
        if watcher:
            watcher.stop()


if __name__ == "__main__":
    main()
