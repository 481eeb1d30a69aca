/** Much over TLS, by either of Deno's two ways: nothing lost, nothing held back. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";
import { canPin, listener, sockpipe } from "../../helpers/program.ts";
import { FailingLine } from "../../helpers/proxy.ts";

/** The most data in one record of TLS (RFC 8446 section 5.1). */
const RECORD_BYTES = 16384;

/** Enough for the lanes. */
const BULK_BYTES = 24_000_000;

/** A key, and both ways to be a client of a listener that has it. */
interface Key extends Disposable {
  readonly listener: readonly string[];
  readonly clients: readonly (readonly [string, readonly string[]])[];
}

let made: Promise<Key> | undefined;

/** The same key for all tests here. */
function theKey(): Promise<Key> {
  return made ??= makeKey();
}

Deno.test.afterAll(async () => (await made)?.[Symbol.dispose]());

async function makeKey(): Promise<Key> {
  const folder = new Folder();
  const made = await makeSelfSigned(["localhost", "127.0.0.1"]);
  const [cert, key] = [`${folder.path}/crt`, `${folder.path}/key`];
  await Deno.writeTextFile(cert, made.cert);
  await Deno.writeTextFile(key, made.key);
  const byPin = ["--tls", `--tls-pin=${made.pin}`];
  return {
    listener: ["--tls", `--tls-cert=${cert}`, `--tls-key=${key}`],
    clients: [
      ["--tls-ca", ["--tls", `--tls-ca=${cert}`]],
      ...(await canPin() ? [["--tls-pin", byPin] as const] : []),
    ],
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

Deno.test("TLS carries bulk both ways at once", async () => {
  const key = await theKey();
  const [up, down] = [randomBytes(BULK_BYTES), randomBytes(BULK_BYTES, 2)];
  for (const [way, options] of key.clients) {
    const { server, at } = await listener(key.listener, { stdin: down });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...options], {
      stdin: up,
    });
    assertEquals(await client.code(), 0, `${way} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${way} ${server.stderr.text()}`);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(up), way);
    assertEquals(await sha256(client.stdout.bytes()), await sha256(down), way);
  }
});

Deno.test("TLS passes on a full record before anything follows", async () => {
  const key = await theKey();
  const record = randomBytes(RECORD_BYTES);
  for (const [way, options] of key.clients) {
    const { server, at } = await listener(key.listener, { stdin: "piped" });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...options], {
      stdin: "piped",
    });
    for (let times = 1; times <= 3; times++) {
      await server.feed(record);
      await client.stdout.atLeast(times * RECORD_BYTES);
      await client.feed(record);
      await server.stdout.atLeast(times * RECORD_BYTES);
    }
    await client.endStdin();
    await server.endStdin();
    assertEquals(await client.code(), 0, `${way} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${way} ${server.stderr.text()}`);
  }
});

Deno.test("TLS that is cut in the midst of bulk gives what came, and exit code 1", async () => {
  const key = await theKey();
  const data = randomBytes(BULK_BYTES);
  const after = 20_000_000;
  for (const [way, options] of key.clients) {
    const { server, at } = await listener(key.listener, { stdin: data });
    await using _server = server;
    await using line = new FailingLine(
      at.port,
      () => ({ kind: "end", after, from: "listen" }),
    );
    await using client = sockpipe(
      ["--connect", `localhost:${line.port}`, ...options],
      { stdin: "piped" },
    );
    assertEquals(await client.code(), 1, `${way} ${client.stderr.text()}`);
    assertStringIncludes(client.stderr.text(), "without the close_notify");
    const arrived = client.stdout.bytes();
    // All whole records: nothing else is as long as that.
    assert(arrived.length > after - after / 100, `${way} ${arrived.length}`);
    assertEquals(
      await sha256(arrived),
      await sha256(data.slice(0, arrived.length)),
      way,
    );
    assertEquals(await server.code(), 1, `${way} ${server.stderr.text()}`);
  }
});
