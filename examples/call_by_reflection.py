#!/usr/bin/env python3
"""Calls a scalelaw server without its .proto files: it describes itself by gRPC's server reflection.

  call_by_reflection.py                                             the services
  call_by_reflection.py scalelaw.v1.Sweeps                          a service's methods; a message's fields
  call_by_reflection.py scalelaw.v1.Sweeps/List '{"study": "gpt"}'  a call; an answer is a line of JSON, a stream several

The server is $SCALELAW_SERVER, else 127.0.0.1:7070. Needs Debian's python3-grpcio and python3-protobuf.
"""
import json
import os
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, text_format

# As much of grpc/reflection/v1alpha/reflection.proto as is needed.
REFLECTION = """
name: "reflection.proto" syntax: "proto3"
message_type { name: "Request"
  field { name: "file_containing_symbol" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "list_services" number: 7 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "Response"
  field { name: "file_descriptor_response" number: 4 type_name: ".Files" label: LABEL_OPTIONAL }
  field { name: "list_services_response" number: 6 type_name: ".Services" label: LABEL_OPTIONAL }
  field { name: "error_response" number: 7 type_name: ".Error" label: LABEL_OPTIONAL } }
message_type { name: "Files" field { name: "file_descriptor_proto" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "Services" field { name: "service" number: 1 type_name: ".Service" label: LABEL_REPEATED } }
message_type { name: "Service" field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "Error" field { name: "error_message" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } }
"""


def message_class(descriptor):
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory().GetPrototype(descriptor)


class Server:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        self.pool = descriptor_pool.DescriptorPool()
        reflection = text_format.Parse(REFLECTION, descriptor_pb2.FileDescriptorProto())
        self.pool.AddSerializedFile(reflection.SerializeToString())
        self.request, response = (message_class(self.pool.FindMessageTypeByName(n)) for n in ("Request", "Response"))
        self.reflect = self.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                                  self.request.SerializeToString, response.FromString)

    def ask(self, **question):
        [answer] = self.reflect(iter([self.request(**question)]), timeout=10)
        if answer.HasField("error_response"):
            sys.exit(f"{', '.join(question.values())}: {answer.error_response.error_message}")
        return answer

    def services(self):
        return [service.name for service in self.ask(list_services="*").list_services_response.service]

    def learn(self, symbol):
        """Adds the file that has `symbol` to the pool, after those that it imports."""
        answer = self.ask(file_containing_symbol=symbol).file_descriptor_response
        files = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in answer.file_descriptor_proto]
        missing = {file.name: file for file in files}

        def add(name):
            if file := missing.pop(name, None):
                for imported in file.dependency:
                    add(imported)
                self.pool.AddSerializedFile(file.SerializeToString())

        for file in files:
            add(file.name)

    def methods(self, service):
        self.learn(service)
        described = descriptor_pb2.ServiceDescriptorProto()
        self.pool.FindServiceByName(service).CopyToProto(described)
        return {method.name: method for method in described.method}

    def describe(self, symbol):
        try:
            methods = self.methods(symbol)
        except KeyError:
            message = descriptor_pb2.DescriptorProto()
            self.pool.FindMessageTypeByName(symbol).CopyToProto(message)
            words = descriptor_pb2.FieldDescriptorProto
            return "\n".join(f"{field.number:3} {field.name}: {'repeated ' * (field.label == words.LABEL_REPEATED)}"
                             f"{field.type_name[1:] or words.Type.Name(field.type)[5:].lower()}" for field in message.field)
        return "\n".join(f"{symbol}/{name}  {method.input_type[1:]} -> {'stream ' * method.server_streaming}"
                         f"{method.output_type[1:]}" for name, method in methods.items())

    def call(self, service, name, text):
        methods = self.methods(service)
        if name not in methods:
            sys.exit(f"{service} has no method {name}; it has {', '.join(methods)}")
        request, response = (message_class(self.pool.FindMessageTypeByName(kind[1:]))
                             for kind in (methods[name].input_type, methods[name].output_type))
        streams = methods[name].server_streaming
        start = self.channel.unary_stream if streams else self.channel.unary_unary
        call = start(f"/{service}/{name}", request.SerializeToString, response.FromString)
        answer = call(json_format.Parse(text, request()))
        for message in answer if streams else [answer]:
            yield json.dumps(json_format.MessageToDict(message, preserving_proto_field_name=True))


if __name__ == "__main__":
    server = Server(os.environ.get("SCALELAW_SERVER", "127.0.0.1:7070"))
    words = sys.argv[1:]
    try:
        if not words:
            print("\n".join(server.services()))
        elif "/" in words[0]:
            for line in server.call(*words[0].split("/"), words[1] if len(words) > 1 else "{}"):
                print(line, flush=True)
        else:
            print(server.describe(words[0]))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except json_format.ParseError as error:
        sys.exit(f"{words[0]}: {error}")
