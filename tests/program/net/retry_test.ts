/** Attempts to connect, one after the other. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { until } from "../../helpers/deadlines.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, closedPort } from "../../helpers/tcp.ts";

Deno.test("a listener that comes later is found, and all of stdin arrives there", async () => {
  const port = closedPort();
  await using client = sockpipe(
    ["--connect", `${port}`, "--retry-delay", "100ms"],
    { stdin: "written before there was a listener" },
  );
  await client.said(/next attempt(.*\n)+.*next attempt/);
  await using server = sockpipe(["--listen", `${port}`], { stdin: "welcome" });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "written before there was a listener");
  assertEquals(client.stdout.text(), "welcome");
});

Deno.test("by default it tries again every 3 seconds, and says so", async () => {
  const port = closedPort();
  await using client = sockpipe(["--connect", `${port}`]);
  const line =
    `sockpipe: cannot connect to 127.0.0.1:${port}: connection refused; next attempt in 3s\n`;
  await client.stderr.atLeast(2 * line.length);
  assertEquals(client.stderr.text(), line + line);
  const [first = 0, second = 0] = client.stderr.times;
  assert(
    second - first > 2900 && second - first < 4500,
    `${second - first} ms apart`,
  );
});

Deno.test("the pause doubles up to --retry-max-delay, with jitter", async () => {
  await using client = sockpipe(
    ["--connect", `${closedPort()}`, "--retry-delay", "50ms"].concat(
      ["--retry-max-delay", "400ms", "--retries", "6"],
    ),
  );
  assertEquals(await client.code(), 3);
  const delays = [...client.stderr.text().matchAll(/next attempt in (\d+)ms/g)]
    .map(([, ms]) => Number(ms));
  assertEquals(delays.length, 6);
  const most = [50, 100, 200, 400, 400, 400];
  delays.forEach((delay, i) => {
    const limit = most[i] ?? 0;
    assert(
      delay >= Math.max(50, limit / 2) && delay <= limit,
      `pause ${i + 1} of ${delays}`,
    );
  });
  assert(Math.max(...delays) > 100, `no growth: ${delays}`);
});

Deno.test("a failed connection leaves stdin to the next command", async () => {
  await using commands = shell(
    'sockpipe --connect "$1" --retries 2 --retry-delay 20ms; echo "$?"; cat',
    [closedPort()],
    { stdin: "untouched" },
  );
  assertEquals((await commands.result()).stdout, "3\nuntouched");
});

Deno.test("a listener to which nobody came leaves stdin to the next command", async () => {
  await using commands = shell(
    'sockpipe --listen 0 --accept-timeout 200ms; echo "$?"; cat',
    [],
    { stdin: "untouched" },
  );
  assertEquals((await commands.result()).stdout, "5\nuntouched");
});

Deno.test("SIGINT during a retry leaves stdin to the next command", async () => {
  await using commands = shell(
    `bash -c 'echo "pid $$" >&2; exec sockpipe --connect "$0"' "$1"
    echo "$?"; cat`,
    [closedPort()],
    { stdin: "untouched" },
  );
  const [, pid] = await commands.said(/pid (\d+)\n.*next attempt/);
  Deno.kill(Number(pid), "SIGINT");
  assertEquals((await commands.result()).stdout, "130\nuntouched");
});

Deno.test("every attempt closes its socket: the number of open files stays the same", async () => {
  await using client = sockpipe(
    ["--connect", `${closedPort()}`, "--retry-delay", "10ms"],
  );
  const attempts = () => client.stderr.text().split("\n").length;
  await until(() => attempts() > 5 || undefined, "5 attempts");
  const before = client.descriptors();
  await until(() => attempts() > 45 || undefined, "45 attempts");
  const after = client.descriptors();
  // One attempt may be under way at the moment of either look.
  assert(Math.abs(after - before) <= 1, `${before} before, ${after} after`);
});

Deno.test("--probe waits for a service that comes later", async () => {
  const port = closedPort();
  await using probe = sockpipe(
    ["--connect", `${port}`, "--probe", "--retry-delay", "50ms"].concat(
      ["--retry-timeout", "25s"],
    ),
  );
  await probe.said(/next attempt/);
  using raw = Deno.listen({ hostname: "127.0.0.1", port });
  using _conn = await accept(raw);
  assertEquals(await probe.code(), 0);
});

Deno.test("time limits for meeting do not limit what comes after", async () => {
  const { server, at } = await listener(["--accept-timeout", "2s"], {
    stdin: "piped",
  });
  await using _server = server;
  await using client = sockpipe(
    ["--connect", at.address, "--retry-timeout", "2s"].concat(
      ["--connect-timeout", "2s"],
    ),
    { stdin: "piped" },
  );
  await client.feed("early ");
  await server.stdout.atLeast(6);
  await delay(2500);
  await client.feed("late");
  await client.endStdin();
  await server.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "early late");
});
