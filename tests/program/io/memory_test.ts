/** A terabyte through the pipe needs what a megabyte needs. */

import { assert, assertEquals } from "@std/assert";
import { MiB } from "../../helpers/bytes.ts";
import { say, SOAK } from "../../helpers/conditions.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

/** How much more memory a large transfer may have needed at its peak, in MiB. */
const MARGIN_MiB = 32;

/** Watches the peak of a process's resident memory until it ends, in KiB. */
function watchPeak(process: Running): Running {
  return shell(
    `while peak=$(grep -s VmHWM /proc/$1/status); do last=$peak; sleep 0.05; done
    set -- $last; echo "$2"`,
    [process.pid],
  );
}

/** Sends `size` bytes from one process to another; the peaks of both in MiB. */
async function peaksOf(
  size: number,
  args: readonly string[] = [],
): Promise<{ sender: number; receiver: number }> {
  const { server, at } = await listener(args, { redirect: "> >(wc -c) 63>&-" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address, ...args], {
    redirect: `< <(head -c ${size} /dev/zero) 63<&-`,
  });
  await using receiver = watchPeak(server);
  await using sender = watchPeak(client);
  assertEquals([await client.code(120_000), await server.code()], [0, 0]);
  assertEquals(server.stdout.text().trim(), `${size}`);
  const mib = async (peak: Running) =>
    Math.round(Number((await peak.result()).stdout) / 1024);
  return { sender: await mib(sender), receiver: await mib(receiver) };
}

let plain: ReturnType<typeof peaksOf> | undefined;

/** The peaks for 64 MiB with no options, measured once. */
function peaksOfLittle(): ReturnType<typeof peaksOf> {
  return plain ??= peaksOf(64 * MiB);
}

const WINDOW_MiB = 8;
const LARGE = (SOAK ? 20 : 2) * 1024;

Deno.test(`${LARGE} MiB need no more memory than 64 MiB, on either side`, async () => {
  const small = await peaksOfLittle();
  const large = await peaksOf(LARGE * MiB);
  for (const side of ["sender", "receiver"] as const) {
    say(
      `peak memory of the ${side}: ${small[side]} MiB for 64 MiB, ${
        large[side]
      } MiB for ${LARGE} MiB`,
    );
    assert(small[side] > 0);
    assert(
      large[side] <= small[side] + MARGIN_MiB,
      `${side}: ${small[side]} MiB, then ${large[side]} MiB`,
    );
  }
});

Deno.test("--reliable needs a window more than that, and no more for a longer stream", async () => {
  const size = LARGE / 4;
  const plain = await peaksOfLittle();
  const args = ["--reliable", "--window", `${WINDOW_MiB}M`];
  const reliable = await peaksOf(size * MiB, args);
  for (const side of ["sender", "receiver"] as const) {
    say(
      `peak memory of the ${side}: ${plain[side]} MiB, with --reliable ${
        reliable[side]
      } MiB for ${size} MiB`,
    );
    assert(plain[side] > 0);
    assert(
      reliable[side] <= plain[side] + WINDOW_MiB + MARGIN_MiB,
      `${side}: ${plain[side]} MiB, then ${reliable[side]} MiB`,
    );
  }
});
