/**
 * Server reflection: lets tools such as grpcurl discover the contract. The two versions of the
 * protocol have the same bytes on the wire, so one implementation serves both.
 */
import {
  create,
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescService,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouterOptions, type ServiceImpl } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as ServerReflectionAlpha,
  ServerReflectionRequestSchema as AlphaRequestSchema,
  ServerReflectionResponseSchema as AlphaResponseSchema,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { RegisterService } from "./node-request.ts";

/** Finds files by their names and by what they declare. */
interface ContractIndex {
  readonly services: readonly string[];
  readonly fileNamed: (path: string) => DescFile | undefined;
  readonly fileDeclaring: (symbol: string) => DescFile | undefined;
}

function pathOf(file: DescFile): string {
  return `${file.name}.proto`;
}

function addEnum(symbols: Map<string, DescFile>, declared: DescEnum): void {
  symbols.set(declared.typeName, declared.file);
}

function addMessage(symbols: Map<string, DescFile>, declared: DescMessage): void {
  symbols.set(declared.typeName, declared.file);
  for (const field of declared.fields) {
    symbols.set(`${declared.typeName}.${field.name}`, declared.file);
  }
  for (const nested of declared.nestedEnums) addEnum(symbols, nested);
  for (const nested of declared.nestedMessages) addMessage(symbols, nested);
}

function indexOf(services: readonly DescService[]): ContractIndex {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();

  function addFile(file: DescFile): void {
    if (files.has(pathOf(file))) return;
    files.set(pathOf(file), file);
    for (const declared of file.enums) addEnum(symbols, declared);
    for (const declared of file.messages) addMessage(symbols, declared);
    for (const declared of file.services) {
      symbols.set(declared.typeName, file);
      for (const method of declared.methods) {
        symbols.set(`${declared.typeName}.${method.name}`, file);
      }
    }
    for (const dependency of file.dependencies) addFile(dependency);
  }

  addFile(file_google_rpc_error_details);
  for (const service of services) addFile(service.file);
  return {
    services: services.map((service) => service.typeName).toSorted(),
    fileNamed: (path) => files.get(path),
    fileDeclaring: (symbol) => symbols.get(symbol),
  };
}

/** A file and everything it imports, each once. */
function withImports(file: DescFile, found: Map<string, DescFile> = new Map()): DescFile[] {
  if (!found.has(pathOf(file))) {
    found.set(pathOf(file), file);
    for (const dependency of file.dependencies) withImports(dependency, found);
  }
  return [...found.values()];
}

function answerFile(
  originalRequest: ServerReflectionRequest,
  file: DescFile | undefined,
  wanted: string,
): ServerReflectionResponse {
  const schema = ServerReflectionResponseSchema;
  const { host: validHost } = originalRequest;
  if (file === undefined) {
    const value = {
      errorCode: Code.NotFound,
      errorMessage: `${wanted} is not part of the contract`,
    };
    const messageResponse = { case: "errorResponse", value } as const;
    return create(schema, { validHost, originalRequest, messageResponse });
  }
  const fileDescriptorProto = withImports(file).map(({ proto }) =>
    toBinary(FileDescriptorProtoSchema, proto),
  );
  const messageResponse = {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto },
  } as const;
  return create(schema, { validHost, originalRequest, messageResponse });
}

function answer(index: ContractIndex, request: ServerReflectionRequest): ServerReflectionResponse {
  const question = request.messageRequest;
  switch (question.case) {
    case "fileByFilename":
      return answerFile(request, index.fileNamed(question.value), question.value);
    case "fileContainingSymbol":
      return answerFile(request, index.fileDeclaring(question.value), question.value);
    case "fileContainingExtension":
      return answerFile(request, undefined, `Extension of ${question.value.containingType}`);
    case "allExtensionNumbersOfType":
      return answerFile(request, undefined, `Extension of ${question.value}`);
    case "listServices": {
      const value = { service: index.services.map((name) => ({ name })) };
      return create(ServerReflectionResponseSchema, {
        validHost: request.host,
        originalRequest: request,
        messageResponse: { case: "listServicesResponse", value },
      });
    }
    case undefined:
      return answerFile(request, undefined, "An empty question");
  }
}

/** The implementations of both versions. */
interface ReflectionServices {
  readonly v1: ServiceImpl<typeof ServerReflection>;
  readonly v1alpha: ServiceImpl<typeof ServerReflectionAlpha>;
}

/** Both versions of the service. */
export const REFLECTION_SERVICES: readonly DescService[] = [
  ServerReflection,
  ServerReflectionAlpha,
];

function makeReflectionServices(services: readonly DescService[]): ReflectionServices {
  const index = indexOf(services);
  return {
    v1: {
      serverReflectionInfo: async function* serverReflectionInfo(requests) {
        for await (const request of requests) yield answer(index, request);
      },
    },
    v1alpha: {
      serverReflectionInfo: async function* serverReflectionInfo(requests) {
        for await (const alpha of requests) {
          const bytes = toBinary(AlphaRequestSchema, alpha);
          const response = answer(index, fromBinary(ServerReflectionRequestSchema, bytes));
          const answered = toBinary(ServerReflectionResponseSchema, response);
          yield fromBinary(AlphaResponseSchema, answered);
        }
      },
    },
  };
}

/** Registers reflection over the given services and everything they refer to. */
export function registerReflection(
  register: RegisterService,
  services: readonly DescService[],
  callOptions: Partial<ConnectRouterOptions>,
): void {
  const { v1, v1alpha } = makeReflectionServices(services);
  register(ServerReflection, v1, callOptions);
  register(ServerReflectionAlpha, v1alpha, callOptions);
}
