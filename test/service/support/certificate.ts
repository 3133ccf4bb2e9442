/**
 * A self-signed certificate made on the spot, so that no key is committed and no program is needed.
 * Node reads certificates but does not write them; this writes the few DER structures there are.
 */
import { generateKeyPairSync, sign } from "node:crypto";

/** Certificate and private key, both PEM. */
export interface TestCertificate {
  readonly certificate: Buffer;
  readonly key: Buffer;
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;
const EXPLICIT_0 = 0xa0;

const ECDSA_WITH_SHA256 = Buffer.from("2a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("550403", "hex");

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function utcTime(year: number): Buffer {
  return der(UTC_TIME, Buffer.from(`${String(year % 100).padStart(2, "0")}0101000000Z`));
}

/** Makes a certificate for nobody in particular, good from 2020 to 2049. */
export function makeCertificate(): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, der(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256));
  const attribute = der(
    SEQUENCE,
    der(OBJECT_IDENTIFIER, COMMON_NAME),
    der(UTF8_STRING, Buffer.from("keelson-test")),
  );
  const name = der(SEQUENCE, der(SET, attribute));
  const toBeSigned = der(
    SEQUENCE,
    der(EXPLICIT_0, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, Buffer.from([1])),
    algorithm,
    name,
    der(SEQUENCE, utcTime(2020), utcTime(2049)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const whole = der(SEQUENCE, toBeSigned, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  const lines = whole.toString("base64").replaceAll(/(.{64})/g, "$1\n");
  return {
    certificate: Buffer.from(
      `-----BEGIN CERTIFICATE-----\n${lines.trimEnd()}\n-----END CERTIFICATE-----\n`,
    ),
    key: Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" })),
  };
}
