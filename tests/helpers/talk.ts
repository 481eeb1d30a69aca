/** A few words, to see that both directions are open. */

import { assertEquals } from "@std/assert";
import type { Running } from "./process.ts";
import { sockpipe } from "./program.ts";

/** Sends a line each way between the program at both ends. */
export async function assertTalk(
  server: Running,
  address: string,
): Promise<void> {
  await using client = sockpipe(["--connect", address], {
    stdin: "greeting\n",
  });
  await server.stdout.atLeast(9);
  await server.feed("command\n");
  await server.endStdin();
  const result = await client.result();
  assertEquals([result.code, result.stdout], [0, "command\n"]);
  assertEquals(await server.code(), 0);
  assertEquals(server.stdout.text(), "greeting\n");
}
