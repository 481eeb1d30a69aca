/** `--lines`: whole lines from many clients. */

import { assertEquals, assertMatch } from "@std/assert";
import { MiB } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { run } from "../../helpers/process.ts";
import { listener } from "../../helpers/program.ts";
import { dial, send } from "../../helpers/tcp.ts";
import { RESETTING } from "../../helpers/clients.ts";

testWith(
  ["python3"],
  "--lines completes the last line of a client that leaves with a reset, too",
  async () => {
    const { server, at } = await listener([
      "--keep-open",
      "--lines",
      "--receive-only",
    ]);
    await using _ = server;
    await using leaver = run([
      "python3",
      "-c",
      RESETTING.replace(
        "sys.stdin.read()",
        's.sendall(b"a line\\nun"); sys.stdin.read()',
      ),
      `${at.port}`,
    ], { stdin: "piped" });
    await server.stdout.match(/^a line\n$/);
    await leaver.endStdin();
    await server.stdout.match(/^a line\nun\n$/);
    await server.said(/127\.0\.0\.1:\d+: cannot receive from/);
  },
);

Deno.test("--lines ends a client whose line has no end, and no other", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--lines",
    "--connections=2",
    "--receive-only",
  ]);
  await using _ = server;
  using bad = await dial(at.port);
  using good = await dial(at.port);
  await send(good, "good ");
  await send(bad, new Uint8Array(2 * MiB)).catch(() => {});
  await server.said(/127\.0\.0\.1:\d+: it sent a line longer than 1M/);
  await send(good, "line\n");
  good.closeWrite();
  const { code, stdout, stderr } = await server.result();
  assertEquals([code, stdout], [1, "good line\n"]);
  assertMatch(stderr, /1 of 2 connections failed/);
});
