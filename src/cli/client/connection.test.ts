import { expect, it } from "vitest";
import { addressOf } from "./connection.ts";

it.each([
  ["127.0.0.1:7420", "http://127.0.0.1:7420"],
  ["localhost:80", "http://localhost"],
  ["https://keelson.example/", "https://keelson.example"],
  ["https://example.com/keelson/", "https://example.com/keelson"],
  ["[::1]:7420", "http://[::1]:7420"],
  ["http://user:secret@host", undefined],
  ["http://", undefined],
  ["ftp://host", undefined],
  ["a b", undefined],
])("%s is the address %s", (text, address) => {
  expect(addressOf(text)).toBe(address);
});
