/** Signals that are ignored, and those that come in the last moment. */

import { assertEquals } from "@std/assert";
import { run, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, send } from "../../helpers/tcp.ts";

for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
  Deno.test(`${signal} that was ignored at the start stays ignored`, async () => {
    await using server = shell(
      `trap '' ${signal.slice(3)}; exec sockpipe --listen 0 --receive-only`,
    );
    const { port } = await server.listening();
    server.kill(signal);
    // The status comes after the signal has done nothing.
    server.kill("SIGUSR2");
    await server.said(/not connected yet/);
    await using client = sockpipe(["--connect", `${port}`], { stdin: "all" });
    assertEquals(await client.code(), 0);
    assertEquals([await server.code(), server.stdout.text()], [0, "all"]);
  });
}

Deno.test("a job in the background of a script is not ended by SIGINT", async () => {
  await using script = run([
    "sh",
    "-c",
    `
    sockpipe --listen 0 --receive-only & job=$!
    read -r _; kill -INT $job; kill -USR2 $job; wait $job; echo "ended with $?"`,
  ], {
    stdin: "piped",
  });
  const { port } = await script.listening();
  await script.feed("\n");
  await script.said(/not connected yet/);
  await using client = sockpipe(["--connect", `${port}`], { stdin: "all" });
  assertEquals(await client.code(), 0);
  await script.stdout.match(/^allended with 0\n$/);
});

Deno.test("SIGINT in a loop of a shell ends the loop", async () => {
  await using loop = run([
    "bash",
    "-c",
    `
    trap 'echo stopped; exit 130' INT
    for i in 1 2; do sockpipe --listen 0; done; echo went on`,
  ]);
  await loop.listening();
  Deno.kill(-loop.pid, "SIGINT");
  assertEquals(await loop.result().then(({ stdout }) => stdout), "stopped\n");
});

Deno.test("SIGUSR2 ends nothing, also in the last moment", async () => {
  for (let round = 0; round < 5; round++) {
    const { server, at } = await listener(["--receive-only"]);
    await using _server = server;
    using conn = await dial(at.port);
    await send(conn, new Uint8Array(1000));
    await server.stdout.atLeast(1000);
    let isOver = false;
    const code = server.code().finally(() => isOver = true);
    await conn.closeWrite();
    while (!isOver) {
      try {
        server.kill("SIGUSR2");
      } catch {
        break; // It has ended.
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assertEquals(await code, 0);
  }
});
