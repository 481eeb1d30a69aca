/** The state of a run, asked for by a signal, and the summary of `--verbose`. */

import { assertEquals, assertMatch } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { say } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, closedPort, rawListener } from "../../helpers/tcp.ts";
import { FailingLine, NONE } from "../../helpers/proxy.ts";
import { eventsOf } from "../../helpers/events.ts";

Deno.test("-v ends with a summary of both directions, also when it fails", async () => {
  const { server, at } = await listener(["--verbose"], { stdin: "four" });
  await using _server = server;
  await using client = sockpipe(["--connect", `${at.port}`, "--verbose"], {
    stdin: "seven!!",
  });
  for (
    const [run, sent, received] of [[server, 4, 7], [client, 7, 4]] as const
  ) {
    const { code, stderr } = await run.result();
    assertEquals(code, 0);
    assertMatch(
      stderr,
      new RegExp(
        `both sides ended: sent ${sent} bytes, received ${received} bytes, in \\d[\\d.]*m?s; .* out, .* in\n$`,
      ),
    );
  }
  using raw = rawListener();
  await using idle = sockpipe(
    `--connect ${raw.port} --idle-timeout 100ms -v`.split(" "),
    { stdin: "piped" },
  );
  using _conn = await accept(raw);
  const { code, stderr } = await idle.result();
  assertEquals(code, 5);
  assertMatch(
    stderr,
    /: sent 0 bytes, received 0 bytes, in \d[\d.]*m?s\nsockpipe: no byte .*\n$/,
  );
});

Deno.test("SIGUSR2 asks for the state at any time and ends nothing", async () => {
  const { server, at } = await listener([], {
    stdin: "piped",
  });
  await using _server = server;
  server.kill("SIGUSR2");
  await server.said(/sockpipe: not connected yet, \d\S* after the start\n/);
  await using client = sockpipe(["--connect", `${at.port}`, "--json"], {
    stdin: "piped",
  });
  await client.feed("hello");
  await server.stdout.atLeast(5);
  server.kill("SIGUSR2");
  await server.said(/sockpipe: sent 0 bytes, received 5 bytes, in .*\/s in\n/);
  client.kill("SIGUSR2");
  await client.said(/"event":"progress".*"sent":5,/);
  await Promise.all([server.endStdin(), client.endStdin()]);
  assertEquals(await server.code(), 0);
  assertEquals((await eventsOf(client)).code, 0);
});

Deno.test("SIGUSR2 is answered between two attempts, and counts no attempt", async () => {
  await using client = sockpipe(
    `--connect ${closedPort()} --retries 1 --retry-delay 600ms`.split(" "),
  );
  await client.said(/next attempt in 600ms\n/);
  client.kill("SIGUSR2");
  await client.said(/sockpipe: not connected yet, /);
  assertEquals(await client.code(), 3);
  await client.said(/\(2 attempts\)/);
});

Deno.test("SIGUSR2 in --reliable tells what is confirmed, and breaks survived", async () => {
  const { server, at } = await listener(["--reliable", "--receive-only"]);
  await using _server = server;
  await using line = new FailingLine(
    at.port,
    (connection) => connection === 0 ? { kind: "reset", after: 100_000 } : NONE,
  );
  await using client = sockpipe(
    ["--connect", `${line.port}`, "--reliable", "--retry-delay=20ms"],
    { stdin: "piped" },
  );
  await client.feed(randomBytes(200_000));
  await server.stdout.atLeast(200_000);
  const all =
    /sent 200000 bytes.* 200000 bytes confirmed, 1 broken connection survived;/;
  await until(() => {
    client.kill("SIGUSR2");
    return all.test(client.stderr.text()) || undefined;
  }, "all to be confirmed");
  await client.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
});

/** `deno run` itself opens its inspector at SIGUSR1 (docs/security.md). */
const IS_COMPILED = Deno.env.has("SOCKPIPE_BIN");

if (!IS_COMPILED) say("skipped, as the program is not compiled: SIGUSR1");

Deno.test({
  name: "SIGUSR1 is answered like SIGUSR2, and opens no debugger's port",
  ignore: !IS_COMPILED,
  fn: async () => {
    const { server, at } = await listener();
    await using _server = server;
    await using client = sockpipe(["--connect", at.address], {
      stdin: "piped",
    });
    await client.feed("hello");
    await server.stdout.atLeast(5);
    // By then, Deno 2.9 from source would listen to the signal as well.
    await until(
      () =>
        performance.now() - (server.stdout.times[0] ?? 0) > 700 || undefined,
      "the runtime to be ready",
    );
    server.kill("SIGUSR1");
    await server.said(/sockpipe: sent 0 bytes, received 5 bytes, in .*\n/);
    const listening = (await sockets(server)).filter((is) => is === "LISTEN");
    assertEquals(listening, []);
    await client.endStdin();
    const { code, stderr } = await server.result();
    assertEquals([code, stderr.split("\n").length], [0, 3]);
  },
});

/** The states of the TCP sockets of a process, as ss(8) has them. */
async function sockets({ pid }: Running): Promise<string[]> {
  await using found = shell("ss -tanp | grep -F pid=$1,", [pid]);
  const { stdout } = await found.result();
  return stdout.trim().split("\n").map((line) => line.split(" ")[0] ?? "");
}
