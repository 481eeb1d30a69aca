/** How a listener for many ends. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { engineTest } from "../../helpers/conditions.ts";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { findSockets } from "../../../lib/net/socket_descriptors.ts";
import { until } from "../../helpers/deadlines.ts";
import { readerOf } from "../../helpers/descriptors.ts";
import { Folder, namedPipe } from "../../helpers/folder.ts";
import { shell } from "../../helpers/process.ts";
import { listener } from "../../helpers/program.ts";
import { dial, receive, receiveText, send } from "../../helpers/tcp.ts";
import { seen } from "../../helpers/clients.ts";

Deno.test("the reader of stdout going away ends it with 141, silently", async () => {
  await using server = shell(
    "sockpipe --listen 0 --keep-open --receive-only | head -c 3; echo ${PIPESTATUS[0]}",
  );
  const at = await server.listening();
  using first = await dial(at.port);
  await send(first, "one");
  await server.stdout.match(/one/);
  using second = await dial(at.port);
  const flood = async () => {
    for (;;) await send(second, new Uint8Array(65536));
  };
  await flood().catch(() => {});
  const { stdout, stderr } = await server.result();
  assertEquals(stdout, "one141\n");
  assertEquals(stderr, `sockpipe: listening on ${at.address}\n`);
});

engineTest(
  "the reader of stdout going away ends it also while all clients are silent",
  async () => {
    await using server = shell(
      "sockpipe --listen 0 --keep-open | head -c 3; echo ${PIPESTATUS[0]}",
    );
    const at = await server.listening();
    using conn = await dial(at.port);
    await send(conn, "one");
    assertEquals((await server.result()).stdout, "one141\n");
  },
);

Deno.test("a full disk ends it with 8", async () => {
  const { server, at } = await listener(["--keep-open", "--receive-only"], {
    redirect: ">/dev/full",
  });
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "too much");
  const { code, stderr } = await server.result();
  assertEquals(code, 8);
  assertMatch(stderr, /cannot write to stdout: no space left on device/);
});

Deno.test("SIGTERM stops accepting, lets a client finish, and ends with 143", async () => {
  const { server, at } = await listener(
    ["--keep-open", "--grace", "1m", "--receive-only"],
  );
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "begun, ");
  await server.stdout.match(/begun/);
  server.kill("SIGTERM");
  await server.said(/stopping: 1 connection may finish within 1m/);
  const refused = await until(async () => {
    try {
      (await dial(at.port)).close();
    } catch (error) {
      return error instanceof Deno.errors.ConnectionRefused || undefined;
    }
  }, "a refusal");
  assert(refused);
  await send(conn, "finished");
  conn.closeWrite();
  assertEquals((await receive(conn)).length, 0);
  const { code, stdout } = await server.result();
  assertEquals([code, stdout], [143, "begun, finished"]);
});

Deno.test("what stdin brings after a signal goes to nobody, and the exit code is the signal's", async () => {
  const { server, at } = await listener(["--keep-open", "--grace=1s"], {
    stdin: "piped",
  });
  await using _ = server;
  using conn = await dial(at.port);
  await seen(server, [conn]);
  await server.feed("in time");
  assertEquals(await receiveText(conn, 7), "in time");
  server.kill("SIGTERM");
  await server.said(/stopping/);
  await server.feed("too late");
  assertEquals(await receiveText(conn), "");
  assertEquals(await server.code(), 143);
});

Deno.test("SIGINT: what is queued is still sent, and the clients get their end", async () => {
  const { server, at } = await listener(["--keep-open", "--grace=1m"], {
    stdin: "piped",
  });
  await using _ = server;
  using conn = await dial(at.port);
  await seen(server, [conn]);
  const data = randomBytes(MiB, 9);
  await server.feed(data);
  // The queue holds what the sockets do not; then comes the signal.
  await receive(conn, 1);
  server.kill("SIGINT");
  await server.said(/stopping/);
  const rest = await receive(conn);
  assertEquals(rest, data.subarray(1, 1 + rest.length));
  conn.closeWrite();
  assertEquals(await server.code(), 130);
});

Deno.test("a client that does not finish is cut off with a reset after --grace", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--grace=300ms",
    "--receive-only",
  ]);
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "for ever");
  await server.stdout.match(/for ever/);
  server.kill("SIGINT");
  const { code, stderr } = await server.result();
  assertEquals(code, 130);
  assertMatch(stderr, /1 connection had not finished/);
});

Deno.test("a second signal ends it at once", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--grace=1h",
    "--receive-only",
  ]);
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "for ever");
  await server.stdout.match(/for ever/);
  server.kill("SIGINT");
  await server.said(/stopping/);
  server.kill("SIGTERM");
  assertEquals(await server.code(), 143);
});

Deno.test("SIGTERM ends it within --grace though stdout takes nothing", async () => {
  using folder = new Folder();
  const fifo = `${folder.path}/fifo`;
  await using server = shell(
    `mkfifo "$1" && exec 3<> "$1" && exec sockpipe --listen 0 --keep-open --receive-only --grace 300ms > "$1"`,
    [fifo],
  );
  const at = await server.listening();
  using conn = await dial(at.port);
  let sent = 0;
  const flood = async () => {
    for (;;) sent += await conn.write(new Uint8Array(65536));
  };
  flood().catch(() => {});
  let before = -1;
  // Nothing moves any more when stdout, the sockets and all between are full.
  await until(() => {
    const isStill = sent > MiB && sent === before;
    before = sent;
    return isStill || undefined;
  }, "a stall");
  server.kill("SIGTERM");
  assertEquals(await server.code(10_000), 143);
  assertMatch(server.stderr.text(), /1 connection had not finished\n/);
});

Deno.test("SIGTERM ends --serve of a named pipe that nobody writes", async () => {
  for (const keepOpen of [[], ["--keep-open", "--grace", "300ms"]]) {
    using folder = new Folder();
    const path = await namedPipe(folder);
    const { server, at } = await listener(["--serve", path, "-v", ...keepOpen]);
    await using _ = server;
    using _conn = await dial(at.port);
    await server.said(/connected/);
    server.kill("SIGTERM");
    assertEquals(await server.code(10_000), 143);
  }
});

Deno.test("--serve of a named pipe that nobody writes notices that its client has left, and keeps limits", async () => {
  using folder = new Folder();
  const path = await namedPipe(folder);
  const { server, at } = await listener(["--serve", path]);
  await using _ = server;
  const conn = await dial(at.port);
  using _writer = await readerOf(path);
  findSockets([conn]).get(conn)?.reset();
  conn.close();
  assertEquals(await server.code(), 1);
  const options = ["--serve", path, "--idle-timeout", "300ms"];
  const limited = await listener(options);
  await using _limited = limited.server;
  using _conn = await dial(limited.at.port);
  assertEquals(await limited.server.code(), 5);
});

Deno.test("--serve sends what is written to a named pipe", async () => {
  using folder = new Folder();
  const path = await namedPipe(folder);
  const { server, at } = await listener(["--serve", path]);
  await using _ = server;
  using conn = await dial(at.port);
  await using _writer = shell('echo served >"$1"', [path]);
  assertEquals(await receiveText(conn), "served\n");
  conn.close();
  assertEquals(await server.code(), 0);
});

Deno.test("--exit-when-idle ends it also when nobody ever came", async () => {
  const options = ["--keep-open", "--exit-when-idle", "100ms"];
  const { server } = await listener(options);
  await using _ = server;
  assertEquals(await server.code(), 0);
});

Deno.test("--serve of a file that is cut meanwhile is a failure", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeFile(path, new Uint8Array(32 * MiB));
  const { server, at } = await listener(["--serve", path]);
  await using _ = server;
  using conn = await dial(at.port);
  await receive(conn, MiB);
  await Deno.truncate(path, 2 * MiB);
  await receive(conn).catch(() => {});
  assertEquals(await server.code(), 8);
  assertMatch(server.stderr.text(), /it was cut to \d+ of 33554432 bytes/);
});
