/** Cleartext HTTP/2 with prior knowledge, as gRPC clients speak it. */
import { connect } from "node:http2";

/** An answer over HTTP/2. */
export interface Http2Answer {
  readonly status: number;
  readonly text: string;
}

/** One GET on a connection of its own. */
export function getOverHttp2(url: string, path: string): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(url, { rejectUnauthorized: false });
    session.on("error", reject);
    const stream = session.request({ ":path": path });
    let status = 0;
    let text = "";
    stream.setEncoding("utf8");
    stream.on("response", (headers) => {
      status = headers[":status"] ?? 0;
    });
    stream.on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("error", reject);
    stream.on("end", () => {
      session.once("close", () => resolve({ status, text }));
      session.close();
    });
    stream.end();
  });
}
