// The little of MongoDB's wire protocol the host must understand: where a message ends, what
// command it carries, and how an answer is framed. Everything else passes through unread.
//
// BSON is only walked over, never decoded: names and lengths of top-level fields, a string, a number.

const headerBytes = 16;
const messageBytesMax = 48_000_000;
const opReply = 1;
const opMessage = 2013;
/** Header, flags and the kind of the first section stand before an OP_MSG's first document. */
const bodyOffset = headerBytes + 5;
/** Below this an answer is copied behind its header, which is cheaper than a second write. */
const copiedAnswerBytesMax = 16_384;

/** The engine's answer to one message, with what is needed to frame it. */
export interface WireAnswer {
  readonly requestId: number;
  /** The client asked for no answer. */
  readonly moreToCome: boolean;
  /** The request was an OP_QUERY (an old handshake), which is answered by an OP_REPLY. */
  readonly legacy: boolean;
  readonly response: Buffer;
}

/** Puts whole messages together out of the chunks of one connection. */
export interface MessageAssembler {
  readonly push: (chunk: Buffer) => void;
  /** The next whole message, or undefined; throws RangeError on a length no driver sends. */
  readonly take: () => Buffer | undefined;
}

/** Makes the assembler of one connection. */
export function makeMessageAssembler(): MessageAssembler {
  let chunks: Buffer[] = [];
  let chunksBytes = 0;

  /** All chunks as one; only called when that ends a message or its head is torn apart. */
  function joined(): Buffer {
    const only = chunks.length === 1 ? chunks[0] : undefined;
    return only ?? Buffer.concat(chunks);
  }

  return {
    push(chunk) {
      chunks.push(chunk);
      chunksBytes += chunk.length;
    },
    take() {
      const first = chunks[0];
      if (first === undefined || chunksBytes < headerBytes) {
        return undefined;
      }
      const head = first.length >= headerBytes ? first : joined();
      const messageBytes = head.readInt32LE(0);
      if (messageBytes < headerBytes || messageBytes > messageBytesMax) {
        throw new RangeError(`a wire message of ${messageBytes} bytes is not possible`);
      }
      if (chunksBytes < messageBytes) {
        return undefined;
      }
      const whole = joined();
      const rest = whole.subarray(messageBytes);
      chunks = rest.length === 0 ? [] : [rest];
      chunksBytes = rest.length;
      return whole.subarray(0, messageBytes);
    },
  };
}

/** The pieces to write to the socket for one answer, in order. */
export function framedAnswer(answer: WireAnswer, answerId: number): readonly Buffer[] {
  // OP_REPLY: flags, cursor id and starting point are zero, then the number of documents, one.
  // OP_MSG: no flags, one section of kind 0.
  const frame = Buffer.alloc(answer.legacy ? headerBytes + 20 : bodyOffset);
  frame.writeInt32LE(frame.length + answer.response.length, 0);
  frame.writeInt32LE(answerId, 4);
  frame.writeInt32LE(answer.requestId, 8);
  frame.writeInt32LE(answer.legacy ? opReply : opMessage, 12);
  if (answer.legacy) {
    frame.writeInt32LE(1, headerBytes + 16);
  }
  const isSmall = answer.response.length <= copiedAnswerBytesMax;
  return isSmall ? [Buffer.concat([frame, answer.response])] : [frame, answer.response];
}

/** The name of a message's command; undefined when the message is not an OP_MSG with a body. */
export function commandName(message: Buffer): string | undefined {
  const isMessage = message.length > bodyOffset + 5 && message.readInt32LE(12) === opMessage;
  if (!isMessage || message.readUInt8(bodyOffset - 1) !== 0) {
    return undefined;
  }
  const nameOffset = bodyOffset + 5;
  return message.toString("latin1", nameOffset, message.indexOf(0, nameOffset));
}

/** The collection an `insert` writes to, as `database.collection`. */
export function insertNamespace(message: Buffer): string | undefined {
  return namespaceOf(fieldsOf(message, bodyOffset), "insert");
}

/** What a `getMore` waits for: a collection, and for how long at most. */
export interface AwaitedData {
  readonly namespace: string;
  readonly maxTimeMs: number;
}

/**
 * Reads a `getMore` that wants to wait for new data: only such a one may carry `maxTimeMS`.
 * Undefined for any other.
 */
export function awaitedData(message: Buffer): AwaitedData | undefined {
  const fields = fieldsOf(message, bodyOffset);
  const namespace = namespaceOf(fields, "collection");
  const maxTimeMs = fields.get("maxTimeMS");
  return namespace !== undefined && typeof maxTimeMs === "number" && maxTimeMs > 0
    ? { namespace, maxTimeMs }
    : undefined;
}

/** Whether an answer holds a cursor that stays open and has nothing new. */
export function isEmptyOpenBatch(response: Buffer): boolean {
  const cursor = fieldsOf(response, 0).get("cursor");
  if (!Buffer.isBuffer(cursor)) {
    return false;
  }
  const fields = fieldsOf(cursor, 0);
  const nextBatch = fields.get("nextBatch");
  const isEmpty = Buffer.isBuffer(nextBatch) && nextBatch.length === emptyDocumentBytes;
  return isEmpty && fields.get("id") !== 0;
}

const emptyDocumentBytes = 5;

/** Values by field name: strings and numbers as such, documents as bytes, the rest left out. */
type Fields = ReadonlyMap<string, string | number | Buffer>;

function namespaceOf(fields: Fields, collectionField: string): string | undefined {
  const database = fields.get("$db");
  const collection = fields.get(collectionField);
  return typeof database === "string" && typeof collection === "string"
    ? `${database}.${collection}`
    : undefined;
}

/** Lengths of the values that always have the same one, by BSON type. */
const fixedBytesByType: Readonly<Record<number, number>> = {
  1: 8, // double
  7: 12, // object id
  8: 1, // boolean
  9: 8, // date
  10: 0, // null
  16: 4, // 32-bit integer
  17: 8, // timestamp
  18: 8, // 64-bit integer
  19: 16, // 128-bit decimal
};

/** Walks over one document's own fields; stops early at a type no command needs. */
function fieldsOf(bytes: Buffer, documentOffset: number): Fields {
  const fields = new Map<string, string | number | Buffer>();
  const end = documentOffset + bytes.readInt32LE(documentOffset) - 1;
  let offset = documentOffset + 4;
  while (offset < end) {
    const type = bytes.readUInt8(offset);
    const nameEnd = bytes.indexOf(0, offset + 1);
    const name = bytes.toString("utf8", offset + 1, nameEnd);
    const valueOffset = nameEnd + 1;
    const valueBytes = valueLength(bytes, type, valueOffset);
    if (valueBytes === undefined) {
      break;
    }
    const value = readValue(bytes, type, valueOffset, valueBytes);
    if (value !== undefined) {
      fields.set(name, value);
    }
    offset = valueOffset + valueBytes;
  }
  return fields;
}

function valueLength(bytes: Buffer, type: number, offset: number): number | undefined {
  switch (type) {
    case 2: // string: its length does not count the length field itself
      return 4 + bytes.readInt32LE(offset);
    case 3: // document
    case 4: // array
      return bytes.readInt32LE(offset);
    case 5: // binary: length field and subtype come on top
      return 5 + bytes.readInt32LE(offset);
    default:
      return fixedBytesByType[type];
  }
}

function readValue(
  bytes: Buffer,
  type: number,
  offset: number,
  length: number,
): string | number | Buffer | undefined {
  switch (type) {
    case 1:
      return bytes.readDoubleLE(offset);
    case 2:
      return bytes.toString("utf8", offset + 4, offset + length - 1);
    case 3:
    case 4:
      return bytes.subarray(offset, offset + length);
    case 16:
      return bytes.readInt32LE(offset);
    case 18:
      return Number(bytes.readBigInt64LE(offset));
    default:
      return undefined;
  }
}
