/** Frames, and a session as docs/protocol.md shows it, byte by byte. */

import { assert, assertEquals } from "@std/assert";
import { type Preface, PrefaceReader } from "../../../lib/reliable/preface.ts";
import { Session } from "../../../lib/reliable/session.ts";
import {
  decodeAbort,
  decodeSummary,
  decodeWaited,
  encodeAbort,
  encodeSummary,
  encodeWaited,
} from "../../../lib/reliable/wire.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";

Deno.test("Summaries and aborts come out as they went in", () => {
  for (const digest of [undefined, drawBytes(32, seeded(1))]) {
    const summary = { checksum: 0xfedcba98, digest };
    assertEquals(decodeSummary(encodeSummary(summary)), summary);
  }
  const reason = { code: 7, text: "disk full – œuf" };
  assertEquals(decodeAbort(encodeAbort(reason)), reason);
  const long = encodeAbort({ code: 1, text: "œ".repeat(400) });
  assertEquals(decodeAbort(long).text, "œ".repeat(256));
  const nasty = encodeAbort({ code: 1, text: "\x1b]0;\u202e\n" });
  assertEquals(decodeAbort(nasty).text, "\ufffd]0;\ufffd\ufffd");
});

Deno.test("Waiting times come out as they went in, in whole ms of 32 bits", () => {
  const ms = { stdin: 1, sending: 2 ** 32, receiving: 3.4, stdout: 0 };
  const payload = encodeWaited(ms);
  const read = { ...ms, sending: 2 ** 32 - 1, receiving: 3 };
  assertEquals(decodeWaited(payload), read);
  assertEquals(decodeWaited(payload.subarray(1)), undefined);
});

/** The lines of the example in docs/protocol.md, in order. */
async function readExample(): Promise<{ from: string; bytes: Uint8Array }[]> {
  const path = new URL("../../../docs/protocol.md", import.meta.url);
  const text = await Deno.readTextFile(path);
  const section = text.slice(text.indexOf("## 9. An example"));
  const lines: { from: string; bytes: number[] }[] = [];
  const line = /^ {4}([<>.]) ([0-9a-f ]+?) *(;.*)?$/gm;
  for (const [, mark, hex] of section.matchAll(line)) {
    const bytes = (hex ?? "").split(" ").map((h) => parseInt(h, 16));
    if (mark === ".") lines.at(-1)?.bytes.push(...bytes);
    else lines.push({ from: mark ?? "", bytes });
  }
  return lines.map(({ from, bytes }) => ({
    from,
    bytes: new Uint8Array(bytes),
  }));
}

/** The same session, played: what each side gives to its connection, in order. */
function playExample(): { from: string; bytes: Uint8Array }[] {
  const options = {
    window: 8 * 1024 * 1024,
    patienceMs: 15_000,
    resumeTimeoutMs: 60_000,
    digest: false,
  };
  const id = Uint8Array.from({ length: 16 }, (_, i) => i);
  const connect = new Session({ role: "connect", id, ...options });
  const listen = new Session({ role: "listen", ...options });
  const said: { from: string; bytes: Uint8Array }[] = [];
  const say = (from: string, bytes: Uint8Array) =>
    said.push({ from, bytes: bytes.slice() });
  const talk = (from: string, speaker: Session, listener: Session) => {
    for (;;) {
      const bytes = speaker.nextToSend(0);
      if (bytes === undefined) return;
      say(from, bytes);
      listener.incoming.room().set(bytes);
      listener.received(bytes.length, 0);
      listener.incoming.end();
    }
  };
  say(">", connect.preface());
  listen.attach(decodePreface(connect.preface()), 0);
  say("<", listen.preface());
  connect.attach(decodePreface(listen.preface()), 0);
  connect.outgoing.accept(new TextEncoder().encode("hi\n"));
  connect.outgoing.end();
  listen.outgoing.end();
  talk(">", connect, listen);
  listen.incoming.delivered(listen.incoming.toDeliver()?.length ?? 0, 0);
  listen.incoming.end();
  talk("<", listen, connect);
  talk(">", connect, listen);
  talk("<", listen, connect);
  assert(connect.isClosed && listen.isClosed);
  return said;
}

function decodePreface(bytes: Uint8Array): Preface {
  const reader = new PrefaceReader();
  reader.room().set(bytes);
  const preface = reader.filled(bytes.length);
  assert(preface !== undefined);
  return preface;
}

Deno.test("The example in docs/protocol.md is what two sessions really say", async () => {
  const example = await readExample();
  const said = playExample();
  const hex = (lines: { from: string; bytes: Uint8Array }[]) =>
    lines.map(({ from, bytes }) => `${from} ${toHex(bytes)}`);
  assertEquals(hex(example), hex(said));
});

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ");
}
