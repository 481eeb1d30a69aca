/** Prefaces: cut at every byte, corrupted at every byte, hostile. */

import { assertEquals, assertThrows } from "@std/assert";
import { DamagedError } from "../../../lib/base/errors.ts";
import {
  encodePreface,
  MAX_PREFACE_BYTES,
  type Preface,
  PREFACE_BYTES,
  PrefaceReader,
  sealPreface,
} from "../../../lib/reliable/preface.ts";
import { concat } from "../../helpers/bytes.ts";

const PREFACE: Preface = {
  version: 1,
  role: 0,
  flags: 0x80000003,
  id: Uint8Array.from({ length: 16 }, (_, i) => i),
  received: 2 ** 52 + 1,
  checksum: 0xdeadbeef,
  window: 8 * 1024 * 1024 + 20,
  patienceMs: 15_000,
  additions: new Uint8Array(),
};

function readPreface(bytes: Uint8Array, portion = 1): Preface | undefined {
  const reader = new PrefaceReader();
  for (let at = 0; at < bytes.length;) {
    const room = reader.room();
    const n = Math.min(portion, room.length, bytes.length - at);
    room.set(bytes.subarray(at, at + n));
    at += n;
    const preface = reader.filled(n);
    if (preface !== undefined) {
      assertEquals([at, reader.room().length], [bytes.length, 0]);
      return preface;
    }
  }
  return undefined;
}

Deno.test("PrefaceReader reads what encodePreface() made, in any portions", () => {
  const bytes = encodePreface(PREFACE);
  assertEquals(bytes.length, PREFACE_BYTES);
  for (let portion = 1; portion <= PREFACE_BYTES; portion++) {
    assertEquals(readPreface(bytes, portion), PREFACE);
  }
});

Deno.test("PrefaceReader hands on additions, whatever they are", () => {
  for (const length of [57, 100, MAX_PREFACE_BYTES]) {
    const additions = new Uint8Array(length - PREFACE_BYTES).fill(7);
    const preface = { ...PREFACE, additions };
    const bytes = encodePreface(preface);
    assertEquals(bytes.length, length);
    assertEquals(readPreface(bytes, 50), preface);
  }
});

Deno.test("PrefaceReader detects every corrupted byte", () => {
  for (let at = 0; at < PREFACE_BYTES; at++) {
    const bytes = encodePreface(PREFACE);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    // A length that grew is waited for; zeros are not what it waits for.
    const more = concat([bytes, new Uint8Array(MAX_PREFACE_BYTES)]);
    assertThrows(() => readPreface(more, 56), DamagedError);
  }
});

Deno.test("PrefaceReader says at the first byte what a peer that does not speak it sends", () => {
  const reader = new PrefaceReader();
  reader.room().set(new TextEncoder().encode("SSH-2.0\x1b[0m"));
  const error = assertThrows(() => reader.filled(11), DamagedError);
  assertEquals(
    error.message,
    'Cannot read the peer\'s preface: it begins with "SSH-2.0\ufffd[0m"; ' +
      "the other side must be sockpipe with --reliable, too",
  );
  const first = new PrefaceReader();
  first.room()[0] = 0x41;
  assertThrows(() => first.filled(1), DamagedError);
});

Deno.test("PrefaceReader rejects a hostile length before it is waited for", () => {
  for (const length of [0, 55, MAX_PREFACE_BYTES + 1, 0xffff]) {
    const bytes = encodePreface(PREFACE);
    new DataView(bytes.buffer).setUint16(10, length);
    sealPreface(bytes);
    assertThrows(() => readPreface(bytes), DamagedError, `"${length}"`);
  }
});
