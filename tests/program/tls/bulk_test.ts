/** Much over TLS, by either of Deno's two ways: nothing lost, nothing held back. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { keyOptions, keys } from "../../helpers/certificates.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { FailingLine } from "../../helpers/proxy.ts";
import { clientOptions } from "../../helpers/tls_clients.ts";

/** The most data in one record of TLS (RFC 8446 section 5.1). */
const RECORD_BYTES = 16384;

/** More than all buffers on the way have room for. */
const BULK_BYTES = 24_000_000;

Deno.test("TLS carries bulk both ways at once", async () => {
  using folder = await keys(["server"]);
  const [up, down] = [randomBytes(BULK_BYTES), randomBytes(BULK_BYTES, 2)];
  for (const [kind, options] of clientOptions(folder)) {
    const { server, at } = await listener(keyOptions(folder), { stdin: down });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...options], {
      stdin: up,
    });
    assertEquals(await client.code(), 0, `${kind} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${kind} ${server.stderr.text()}`);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(up), kind);
    assertEquals(await sha256(client.stdout.bytes()), await sha256(down), kind);
  }
});

Deno.test("TLS passes on a full record before anything follows", async () => {
  using folder = await keys(["server"]);
  const record = randomBytes(RECORD_BYTES);
  for (const [kind, options] of clientOptions(folder)) {
    const { server, at } = await listener(keyOptions(folder), {
      stdin: "piped",
    });
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
    assertEquals(await client.code(), 0, `${kind} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${kind} ${server.stderr.text()}`);
  }
});

Deno.test("TLS that is cut in the midst of bulk gives what came, and exit code 1", async () => {
  using folder = await keys(["server"]);
  const data = randomBytes(BULK_BYTES);
  const after = 20_000_000;
  for (const [kind, options] of clientOptions(folder)) {
    const { server, at } = await listener(keyOptions(folder), { stdin: data });
    await using _server = server;
    await using line = new FailingLine(
      at.port,
      () => ({ kind: "end", after, from: "listen" }),
    );
    await using client = sockpipe(
      ["--connect", `localhost:${line.port}`, ...options],
      { stdin: "piped" },
    );
    assertEquals(await client.code(), 1, `${kind} ${client.stderr.text()}`);
    assertStringIncludes(client.stderr.text(), "without the close_notify");
    const arrived = client.stdout.bytes();
    // All whole records: nothing else is as long as that.
    assert(arrived.length > after - after / 100, `${kind} ${arrived.length}`);
    assertEquals(
      await sha256(arrived),
      await sha256(data.slice(0, arrived.length)),
      kind,
    );
    assertEquals(await server.code(), 1, `${kind} ${server.stderr.text()}`);
  }
});
