/** What goes through TLS: all of it, either end first, over cuts, and for many. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { keyOptions, keys } from "../../helpers/certificates.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, send } from "../../helpers/tcp.ts";
import { FailingLine } from "../../helpers/proxy.ts";
import { clientOptions, pinTest } from "../../helpers/tls_clients.ts";

Deno.test("with TLS either side may end first", async () => {
  using folder = await keys(["server"]);
  for (const [kind, options] of clientOptions(folder)) {
    for (const first of ["listener", "client"]) {
      const { server, at } = await listener([
        ...keyOptions(folder),
        "--verbose",
      ], { stdin: "piped" });
      await using _server = server;
      await using client = sockpipe(
        ["--connect", at.address, ...options, "--verbose"],
        { stdin: "piped" },
      );
      const [one, other] = first === "client"
        ? [client, server]
        : [server, client];
      await one.feed("first");
      await one.endStdin();
      await other.said(/the peer has ended/);
      await other.feed("second");
      await other.endStdin();
      assertEquals(await client.code(), 0, `${kind} ${client.stderr.text()}`);
      assertEquals(await server.code(), 0, `${kind} ${server.stderr.text()}`);
      assertEquals(other.stdout.text(), "first");
      assertEquals(one.stdout.text(), "second");
    }
  }
});

pinTest("TLS carries much both ways, also into small reads", async () => {
  using folder = await keys(["server", "client"]);
  const [up, down] = [randomBytes(6_000_000, 2), randomBytes(5_000_000, 3)];
  const clientKey = keyOptions(folder, "client").slice(1);
  const cases = [
    ...clientOptions(folder),
    ["--tls-client-pin", [
      "--tls",
      `--tls-ca=${folder.path}/server.crt`,
      ...clientKey,
    ]],
  ] as const;
  for (const [kind, options] of cases) {
    const asks = kind === "--tls-client-pin"
      ? [`--tls-client-pin=${folder.pins[1]}`]
      : [];
    const { server, at } = await listener(
      [...keyOptions(folder), ...asks, "--data-size=1000"],
      { stdin: down },
    );
    await using _server = server;
    await using client = sockpipe(
      ["--connect", at.address, ...options],
      { stdin: up },
    );
    assertEquals(await client.code(), 0, `${kind} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${kind} ${server.stderr.text()}`);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(up), kind);
    assertEquals(await sha256(client.stdout.bytes()), await sha256(down), kind);
  }
});

Deno.test("an end of TCP without TLS's is no end, on either side", async () => {
  using folder = await keys(["server"]);
  for (const [kind, options] of clientOptions(folder)) {
    for (const from of ["listen", "connect"] as const) {
      const { server, at } = await listener(keyOptions(folder), {
        stdin: from === "listen" ? randomBytes(300_000) : "piped",
      });
      await using _server = server;
      await using line = new FailingLine(
        at.port,
        () => ({ kind: "end", after: 100_000, from }),
      );
      await using client = sockpipe(
        ["--connect", `localhost:${line.port}`, ...options],
        { stdin: from === "connect" ? randomBytes(300_000) : "piped" },
      );
      const [cut, other] = from === "listen"
        ? [client, server]
        : [server, client];
      const what = `${kind} ${from} ${cut.stderr.text()}`;
      assertEquals(await cut.code(), 1, what);
      assertStringIncludes(cut.stderr.text(), "without the close_notify", what);
      assertEquals(await other.code(), 1, what);
    }
  }
});

Deno.test("--keep-open serves many over TLS, beside those that fail", async () => {
  using folder = await keys(["server"]);
  const { server, at } = await listener([
    ...keyOptions(folder),
    "--keep-open",
    "--connections=4",
    "--receive-only",
  ]);
  await using _server = server;
  using _mute = await dial(at.port);
  using plain = await dial(at.port);
  await send(plain, "GET / HTTP/1.0\r\n\r\n");
  const ways = clientOptions(folder);
  const clients = Array.from({ length: 4 }, (_, index) => {
    const [, options = []] = ways[index % ways.length] ?? [];
    return sockpipe(["--connect", at.address, ...options], {
      stdin: "1234\n",
    });
  });
  for (const client of clients) {
    await using _client = client;
    assertEquals(await client.code(), 0, client.stderr.text());
  }
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(server.stdout.text(), "1234\n".repeat(4));
});

Deno.test("--reliable over TLS survives cuts of a handshake, and silence", async () => {
  using folder = await keys(["server"]);
  for (const [kind, options] of clientOptions(folder)) {
    const { server, at } = await listener(
      [...keyOptions(folder), "--reliable"],
      { stdin: "ours" },
    );
    await using _server = server;
    // The first handshake; and those of resuming, after a break in the stream.
    const amid = [
      { kind: "reset", after: 100 },
      { kind: "end", after: 100 },
      { kind: "end", after: 10_000 },
      { kind: "reset", after: 100 },
      { kind: "end", after: 100 },
      { kind: "silence", after: 100 },
      { kind: "silence", after: 10_000 },
    ] as const;
    await using line = new FailingLine(
      at.port,
      (connection) => amid[connection] ?? { kind: "none" },
    );
    await using client = sockpipe([
      `--connect=localhost:${line.port}`,
      ...options,
      "--reliable",
      "--retry-delay=20ms",
      "--connect-timeout=500ms",
      "--heartbeat=500ms",
    ], { stdin: randomBytes(100_000) });
    assertEquals(await client.code(), 0, `${kind} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${kind} ${server.stderr.text()}`);
    assertEquals(client.stdout.text(), "ours");
    assertEquals(server.stdout.length, 100_000);
    assertEquals(line.incidents, amid.length);
  }
});

Deno.test("--reliable over TLS survives cuts", async () => {
  using folder = await keys(["server"]);
  const data = randomBytes(4_000_000, 5);
  for (const [kind, options] of clientOptions(folder)) {
    const { server, at } = await listener(
      [...keyOptions(folder), "--reliable"],
    );
    await using _server = server;
    await using line = new FailingLine(
      at.port,
      (connection) =>
        connection < 2
          ? { kind: connection === 0 ? "reset" : "end", after: 900_000 }
          : { kind: "none" },
    );
    await using client = sockpipe([
      "--connect",
      `localhost:${line.port}`,
      ...options,
      "--reliable",
      "--retry-delay=20ms",
    ], { stdin: data });
    assertEquals(await client.code(), 0, `${kind} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${kind} ${server.stderr.text()}`);
    assertEquals(line.incidents, 2);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  }
});
