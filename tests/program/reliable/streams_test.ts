/** `--reliable`: both streams arrive whole, in each mode, over lines that break. */

import { assert, assertEquals } from "@std/assert";
import { MiB, sha256 } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";
import type { StartOptions } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";
import { NONE } from "../../helpers/proxy.ts";
import {
  A,
  B,
  codes,
  pair,
  type PairOptions,
} from "../../helpers/reliable_pair.ts";

for (
  const [name, args] of [
    ["as it is", []],
    ["with the smallest window", ["--window", "1"]],
    ["with SHA-256", ["--digest", "sha256", "-v"]],
  ] as const
) {
  Deno.test(`both streams arrive whole ${name}`, async () => {
    const small = name.includes("smallest");
    const [a, b] = small ? [A.subarray(0, 300), B.subarray(0, 250)] : [A, B];
    await using both = await pair({
      args,
      listen: { stdin: a },
      connect: { stdin: b },
    });
    assertEquals(await codes(both), [0, 0]);
    assertEquals(both.listen.stdout.bytes(), b);
    assertEquals(both.connect.stdout.bytes(), a);
    if (args[0] !== "--digest") return;
    const text = both.connect.stderr.text();
    assert(
      text.includes(`sent: ${await sha256(b)}, received: ${await sha256(a)}`),
    );
  });
}

Deno.test("a message, one way, on a unix socket; and two sides that say nothing", async () => {
  using folder = new Folder();
  const path = `unix:${folder.path}/socket`;
  await using server = sockpipe([
    "--listen",
    path,
    "--reliable",
    "--receive-only",
  ]);
  await server.listening();
  const args = ["--connect", path, "--reliable", "--send-only"];
  await using client = sockpipe([...args, "--message", "hello"]);
  assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
  assertEquals([await server.code(), server.stdout.text()], [0, "hello"]);
  await using silent = await pair();
  assertEquals(await codes(silent), [0, 0]);
});

// What else there is, together with it.

const ENGINE_OFF: StartOptions = { under: ["env", "SOCKPIPE_ENGINE=off"] };

for (
  const [name, options] of Object.entries<PairOptions>({
    "--limit-rate": { args: ["--limit-rate", "4M"] },
    "--data-size": { args: ["--data-size", "1000"] },
    "--progress": { args: ["--progress"] },
    "--dump": { args: ["--dump", "/dev/null"] },
    "the engine off": { listen: ENGINE_OFF, connect: ENGINE_OFF },
  })
) {
  Deno.test(`${name}: both streams arrive over a line that breaks`, async () => {
    await using both = await pair({
      ...options,
      listen: { ...options.listen, stdin: A },
      connect: { ...options.connect, stdin: B },
      fateOf: (connection) =>
        connection < 2 ? { kind: "reset", after: MiB } : NONE,
    });
    assertEquals(await codes(both), [0, 0]);
    assertEquals(both.listen.stdout.bytes(), B);
    assertEquals(both.connect.stdout.bytes(), A);
    assertEquals(both.line.incidents, 2);
  });
}

for (const sender of ["connect", "listen"] as const) {
  Deno.test(`one way from the ${sender}ing side, over a line that breaks`, async () => {
    const send = { stdin: A, args: ["--send-only"] };
    const receive = { stdin: "lost", args: ["--receive-only"] };
    await using both = await pair({
      listen: sender === "listen" ? send : receive,
      connect: sender === "connect" ? send : receive,
      fateOf: (connection) =>
        connection < 2 ? { kind: "end", after: MiB } : NONE,
    });
    assertEquals(await codes(both), [0, 0]);
    const receiver = sender === "connect" ? both.listen : both.connect;
    assertEquals(receiver.stdout.bytes(), A);
    assertEquals(both[sender].stdout.text(), "");
  });
}
