"""Stubs of Keelson's services without generated code.

The server describes its own contract (gRPC reflection). This module asks for it once and builds
message classes and stubs from the answer, so that nothing but grpcio and protobuf is needed. A
program of your own is better off with generated stubs, which an editor can complete; README.md
tells how to make them. The calls look the same either way.
"""

import grpc

# The types that every contract may use must be known before the contract is read.
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf import any_pb2, duration_pb2, struct_pb2, timestamp_pb2  # noqa: F401

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
ERROR_INFO = "google.rpc.ErrorInfo"


def _message_class(descriptor):
    """The class of a message, by the way that this version of protobuf offers."""
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(descriptor_pool.Default()).GetPrototype(descriptor)


def _add_message(file, name, fields):
    """Declares a message: each field has a name, a number, a type and perhaps a message type."""
    message = file.message_type.add(name=name)
    for field_name, number, kind, *rest in fields:
        repeated, type_name = (rest + [False, None])[:2]
        field = message.field.add(name=field_name, number=number, type=kind)
        field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
        if type_name:
            field.type_name = type_name


def _own_messages():
    """What is needed before the contract is known: reflection, and the status of errors."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="keelson_stubs.proto",
        package="keelson_stubs",
        syntax="proto3",
        dependency=["google/protobuf/any.proto"],
    )
    queries = (("file_by_filename", 3), ("file_containing_symbol", 4))
    _add_message(file, "Request", [(name, number, field.TYPE_STRING) for name, number in queries])
    _add_message(file, "Files", [("files", 1, field.TYPE_BYTES, True)])
    found = ("found", 4, field.TYPE_MESSAGE, False, ".keelson_stubs.Files")
    _add_message(file, "Response", [found])
    details = ("details", 3, field.TYPE_MESSAGE, True, ".google.protobuf.Any")
    _add_message(file, "Status", [details])
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return tuple(
        _message_class(pool.FindMessageTypeByName("keelson_stubs." + name))
        for name in ("Request", "Response", "Status")
    )


_REQUEST, _RESPONSE, _STATUS = _own_messages()


class _Stub:
    """The calls of one service, by their names in the contract."""

    def __init__(self, channel, service):
        for method in service.methods:
            shape = descriptor_pb2.MethodDescriptorProto()
            method.CopyToProto(shape)
            kinds = ("stream" if shape.client_streaming else "unary") + (
                "_stream" if shape.server_streaming else "_unary"
            )
            call = getattr(channel, kinds)(
                "/%s/%s" % (service.full_name, method.name),
                request_serializer=_message_class(method.input_type).SerializeToString,
                response_deserializer=_message_class(method.output_type).FromString,
            )
            setattr(self, method.name, call)


class _Package:
    """The messages of one package, by their names; the values of its enums, too."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        pool = descriptor_pool.Default()
        try:
            return _message_class(pool.FindMessageTypeByName("%s.%s" % (self._name, name)))
        except KeyError:
            pass
        try:
            found = pool.FindEnumTypeByName("%s.%s" % (self._name, name))
        except KeyError:
            raise AttributeError("%s has no %s" % (self._name, name)) from None
        return {value.name: value.number for value in found.values}


class Keelson:
    """The contract of a server, and stubs that call it.

    `timeout` is how long the server may take to come up, in seconds.
    """

    def __init__(self, channel, timeout=30):
        self._channel = channel
        self._pool = descriptor_pool.Default()
        grpc.channel_ready_future(channel).result(timeout=timeout)
        for service in (
            "keelson.runtime.v1.RuntimeControlPlaneService",
            "keelson.executor.v1.ExecutorService",
            "keelson.process.v1.ProcessRegistryService",
        ):
            self._load(file_containing_symbol=service)
        self._load(file_containing_symbol=ERROR_INFO)
        self.runtime = _Package("keelson.runtime.v1")
        self.executor = _Package("keelson.executor.v1")
        self.process = _Package("keelson.process.v1")
        self.runtimes = self._stub("keelson.runtime.v1.RuntimeControlPlaneService")
        self.executors = self._stub("keelson.executor.v1.ExecutorService")
        self.processes = self._stub("keelson.process.v1.ProcessRegistryService")

    def reason(self, error):
        """The published reason of a failed call, such as LEASE_LOST; empty without one."""
        status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        if status is None:
            return ""
        info = _message_class(self._pool.FindMessageTypeByName(ERROR_INFO))()
        for detail in _STATUS.FromString(status).details:
            if detail.Unpack(info):
                return info.reason
        return ""

    def _stub(self, name):
        return _Stub(self._channel, self._pool.FindServiceByName(name))

    def _load(self, **query):
        """Adds the file that a query finds to the pool, after the files that it imports."""
        call = self._channel.stream_stream(
            REFLECTION,
            request_serializer=_REQUEST.SerializeToString,
            response_deserializer=_RESPONSE.FromString,
        )
        [answer] = call(iter([_REQUEST(**query)]))
        found = [descriptor_pb2.FileDescriptorProto.FromString(it) for it in answer.found.files]
        waiting = {file.name: file for file in found}
        for file in found:
            self._add(file, waiting)

    def _add(self, file, waiting):
        if self._knows(file.name):
            return
        for name in file.dependency:
            if name in waiting:
                self._add(waiting[name], waiting)
            elif not self._knows(name):
                self._load(file_by_filename=name)
        self._pool.AddSerializedFile(file.SerializeToString())

    def _knows(self, name):
        try:
            self._pool.FindFileByName(name)
        except KeyError:
            return False
        return True
