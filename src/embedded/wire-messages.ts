// The little of MongoDB's wire protocol the host must understand: where a message ends, what
// command it carries, and how an answer is framed. Everything else passes through unread.
//
// BSON is only walked over, never decoded: names and lengths of top-level fields, text, numbers.

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

/** A command of the host's own as a message: texts and 32-bit integers by field name. */
export function commandMessage(fields: Readonly<Record<string, string | number>>): Buffer {
  const body = documentOf(fields);
  const message = Buffer.alloc(bodyOffset + body.length);
  message.writeInt32LE(message.length, 0);
  message.writeInt32LE(opMessage, 12);
  body.copy(message, bodyOffset);
  return message;
}

/** Whether an answer says that its command was done. */
export function isAcknowledged(response: Buffer): boolean {
  return fieldsOf(response, 0).get("ok") === 1;
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
export interface AwaitedInsert {
  readonly namespace: string;
  readonly maxTimeMs: number;
}

/**
 * Reads a `getMore` that wants to wait for new data: only such a one may carry `maxTimeMS`.
 * Undefined for any other.
 */
export function awaitedData(message: Buffer): AwaitedInsert | undefined {
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

/**
 * The message with write concern `w: "majority"` turned into `w: 1`, everything else as it was; the
 * very same message when it does not ask for a majority.
 */
export function withMajorityOfOne(message: Buffer): Buffer {
  for (const concern of elementsOf(message, bodyOffset)) {
    if (concern.name === "writeConcern" && concern.type === 3) {
      for (const acknowledged of elementsOf(message, concern.valueOffset)) {
        if (acknowledged.name === "w" && readValue(message, acknowledged) === "majority") {
          return replaced(message, acknowledged, [bodyOffset, concern.valueOffset]);
        }
      }
    }
  }
  return message;
}

/** `w: 1` as a field: type, name, 32-bit integer. */
const acknowledgedByOne = Buffer.from([16, 0x77, 0, 1, 0, 0, 0]);

/** Puts `w: 1` in an element's place and corrects the lengths of everything around it. */
function replaced(message: Buffer, element: Element, documentOffsets: readonly number[]): Buffer {
  const before = message.subarray(0, element.offset);
  const result = Buffer.concat([before, acknowledgedByOne, message.subarray(element.end)]);
  const shrunkBytes = message.length - result.length;
  for (const lengthOffset of [0, ...documentOffsets]) {
    result.writeInt32LE(message.readInt32LE(lengthOffset) - shrunkBytes, lengthOffset);
  }
  return result;
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

/** One field of a document: its type byte stands at `offset`, its value at `valueOffset`. */
interface Element {
  readonly type: number;
  readonly name: string;
  readonly offset: number;
  readonly valueOffset: number;
  readonly end: number;
}

/** Walks over one document's own fields; stops early at a type no command needs. */
function* elementsOf(bytes: Buffer, documentOffset: number): Generator<Element> {
  const documentEnd = documentOffset + bytes.readInt32LE(documentOffset) - 1;
  let offset = documentOffset + 4;
  while (offset < documentEnd) {
    const type = bytes.readUInt8(offset);
    const nameEnd = bytes.indexOf(0, offset + 1);
    const valueOffset = nameEnd + 1;
    const valueBytes = valueLength(bytes, type, valueOffset);
    if (valueBytes === undefined) {
      return;
    }
    const name = bytes.toString("utf8", offset + 1, nameEnd);
    const end = valueOffset + valueBytes;
    yield { type, name, offset, valueOffset, end };
    offset = end;
  }
}

function fieldsOf(bytes: Buffer, documentOffset: number): Fields {
  const fields = new Map<string, string | number | Buffer>();
  for (const element of elementsOf(bytes, documentOffset)) {
    const value = readValue(bytes, element);
    if (value !== undefined) {
      fields.set(element.name, value);
    }
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

function documentOf(fields: Readonly<Record<string, string | number>>): Buffer {
  const elements = Object.entries(fields).map(([name, value]) => {
    const isText = typeof value === "string";
    const type = Buffer.from([isText ? 2 : 16]);
    const valueBytes = isText ? textOf(value) : int32Of(value);
    return Buffer.concat([type, Buffer.from(`${name}\0`), valueBytes]);
  });
  const bytes = Buffer.concat([int32Of(0), ...elements, Buffer.alloc(1)]);
  bytes.writeInt32LE(bytes.length, 0);
  return bytes;
}

function int32Of(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function textOf(value: string): Buffer {
  const bytes = Buffer.from(`${value}\0`);
  return Buffer.concat([int32Of(bytes.length), bytes]);
}

function readValue(bytes: Buffer, element: Element): string | number | Buffer | undefined {
  const { type, valueOffset, end } = element;
  switch (type) {
    case 1:
      return bytes.readDoubleLE(valueOffset);
    case 2:
      return bytes.toString("utf8", valueOffset + 4, end - 1);
    case 3:
    case 4:
      return bytes.subarray(valueOffset, end);
    case 16:
      return bytes.readInt32LE(valueOffset);
    case 18:
      return Number(bytes.readBigInt64LE(valueOffset));
    default:
      return undefined;
  }
}
