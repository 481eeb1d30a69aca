/** `--limit-rate`. */

import { assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { SOAK } from "../../helpers/conditions.ts";
import { addressOf, eventsOf } from "../../helpers/events.ts";
import type { Running } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";

/**
 * The time that a run with `--json` was connected, in ms, by its own clock. It begins
 * before that of its limit does and ends after its last byte, however busy the
 * machine is; so it is never shorter than the rate allows.
 */
async function connectedMs(run: Running): Promise<number> {
  const { code, all } = await eventsOf(run);
  assertEquals(code, 0);
  return Number(all.at(-1)?.connectedMs);
}

/** The most by which a pause is cut short, rounding included, in ms. */
const EARLY_MS = 2;

for (const limited of ["sender", "receiver"] as const) {
  Deno.test(`--limit-rate on the ${limited}: within its rate, and not a byte lost`, async () => {
    const seconds = SOAK ? 10 : 1;
    const optionsOf = (side: string) =>
      side === limited ? ["--json", "--limit-rate", "2M"] : ["--json"];
    const data = randomBytes(seconds * 2 * 1024 * 1024 + 17);
    await using server = sockpipe(["--listen", "0", ...optionsOf("receiver")]);
    const address = await addressOf(server);
    await using client = sockpipe(
      ["--connect", address, ...optionsOf("sender")],
      { stdin: data },
    );
    const [sending, receiving] = await Promise.all([
      connectedMs(client),
      connectedMs(server),
    ]);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
    const took = limited === "sender" ? sending : receiving;
    assertGreaterOrEqual(took, seconds * 1000 - EARLY_MS);
    assertLess(took, SOAK ? seconds * 1000 * 1.02 : 3000);
  });
}

Deno.test("--limit-rate 3 is slow, and right", async () => {
  await using server = sockpipe(["--listen", "0", "--json"]);
  const address = await addressOf(server);
  await using client = sockpipe(
    ["--connect", address, "--limit-rate", "3", "--message", "abcd", "--json"],
  );
  assertGreaterOrEqual(await connectedMs(client), 4000 / 3 - EARLY_MS);
  assertEquals((await server.result()).stdout, "abcd");
});
