/** `--limit-rate`. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { SOAK } from "../../helpers/conditions.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

for (const limited of ["sender", "receiver"] as const) {
  Deno.test(`--limit-rate on the ${limited}: within its rate, and not a byte lost`, async () => {
    const seconds = SOAK ? 10 : 1;
    const limit = ["--limit-rate", "2M"];
    const data = randomBytes(seconds * 2 * 1024 * 1024 + 17);
    const { server, at } = await listener(
      limited === "receiver" ? limit : [],
    );
    await using _server = server;
    await using client = sockpipe(
      ["--connect", `${at.port}`].concat(limited === "sender" ? limit : []),
      { stdin: data },
    );
    assertEquals(await client.code(), 0);
    assertEquals(await server.code(), 0);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
    const { times } = server.stdout;
    const took = (times.at(-1) ?? 0) - (times[0] ?? 0);
    // The first slice stands for 25 ms; its own time was before it, and on a busy
    // machine it is seen late.
    assertGreater(took, seconds * 1000 * 0.98 - 150);
    assertLess(took, SOAK ? seconds * 1000 * 1.02 : 3000);
  });
}

Deno.test("--limit-rate 3 is slow, and right", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using client = sockpipe(
    ["--connect", `${at.port}`, "--limit-rate", "3", "--message", "abcd"],
  );
  assertEquals(await client.code(), 0);
  assertEquals((await server.result()).stdout, "abcd");
  const { times } = server.stdout;
  // Three pauses of 333 ms, of which up to 225 ms are made up for.
  assertGreater((times.at(-1) ?? 0) - (times[0] ?? 0), 750);
});
