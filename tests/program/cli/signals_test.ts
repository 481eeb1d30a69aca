/** Ending by a signal: 130, 143 and 129. */

import { assertEquals } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { readerOf } from "../../helpers/descriptors.ts";
import { Folder, namedPipe } from "../../helpers/folder.ts";
import { blackHole } from "../../helpers/peers.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  rawListener,
  receive,
  send,
} from "../../helpers/tcp.ts";

const SIGNALS = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;

/** How long a process may take to obey a signal on a loaded machine, in ms. */
const AT_ONCE_MS = 5000;

for (const [signal, code] of SIGNALS) {
  Deno.test(`exit ${code} at once after ${signal} while waiting for a peer`, async () => {
    const { server } = await listener();
    await using _server = server;
    server.kill(signal);
    assertEquals(await server.code(AT_ONCE_MS), code);
    assertEquals(await server.signal(), signal, "dies of it");
  });

  Deno.test(`exit ${code} at once after ${signal} in the pause before the next attempt`, async () => {
    await using client = sockpipe(
      ["--connect", `${closedPort()}`, "--retry-delay", "1h"],
    );
    await client.said(/next attempt in 1h/);
    client.kill(signal);
    assertEquals(await client.code(AT_ONCE_MS), code);
  });

  Deno.test(`exit ${code} at once after ${signal} in an idle connection, which ends`, async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], {
      stdin: "piped",
    });
    using conn = await accept(raw);
    await client.feed("x");
    await receive(conn, 1);
    client.kill(signal);
    assertEquals(await client.code(AT_ONCE_MS), code);
    assertEquals(await client.signal(), signal, "dies of it");
    await receive(conn).catch(() => {});
  });
}

Deno.test("exit 130 at once after SIGINT while connecting", async () => {
  await using hole = await blackHole();
  await using client = sockpipe(["--connect", `${hole.port}`, "-v"]);
  await client.said(/connecting to/);
  client.kill("SIGINT");
  assertEquals(await client.code(AT_ONCE_MS), 130);
});

Deno.test("exit 143 at once after SIGTERM while stdout and the peer are stuck", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: randomBytes(64 << 20),
    heldStdout: true,
  });
  using conn = await accept(raw);
  const sending = send(conn, new Uint8Array(64 << 20)).catch(() => {});
  // Both ways are open; the peer reads no more than this, and stdout nothing.
  await receive(conn, 1 << 20);
  client.kill("SIGTERM");
  client.stdout.release();
  assertEquals(await client.code(AT_ONCE_MS), 143);
  await sending;
});

/** Options that name a file to be read, `FILE` being a named pipe. */
const FILE_OPTIONS = [
  "--listen 0 --secret-file FILE",
  "--listen 0 --tls --tls-cert FILE",
  "--listen 0 --tls --tls-self-signed --reliable --token-file FILE",
  "--connect 1 --secret-file FILE",
  "--connect 1 --tls --tls-ca FILE",
  "--connect 1 --proxy http://me@localhost:1 --proxy-password-file FILE",
  "--listen 0 --forward 1 --forward-secret-file FILE",
];

for (const options of FILE_OPTIONS) {
  Deno.test(`exit 143 at once after SIGTERM while nobody writes the FILE of ${options}`, async () => {
    using folder = new Folder();
    const path = await namedPipe(folder);
    await using ours = sockpipe(
      options.split(" ").map((word) => word === "FILE" ? path : word),
    );
    using _writer = await readerOf(path);
    ours.kill("SIGTERM");
    assertEquals(await ours.code(AT_ONCE_MS), 143);
  });
}

Deno.test("exit 143 after SIGTERM removes the unix socket", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await server.listening();
  server.kill("SIGTERM");
  assertEquals(await server.code(AT_ONCE_MS), 143);
  assertEquals(await server.signal(), "SIGTERM", "dies of it");
  assertEquals(folder.names(), []);
});
