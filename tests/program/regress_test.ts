/**
 * The cases of ncat-test.pl, socat's test.sh and OpenBSD's regress/usr.bin/nc that
 * apply here: addresses, retries, reuse of ports, unix sockets.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { say } from "../helpers/conditions.ts";
import { until } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";
import { type Running, shell } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  receive,
  receiveText,
  send,
} from "../helpers/tcp.ts";

/** Sends a line each way between the program at both ends. */
async function assertTalk(server: Running, address: string): Promise<void> {
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

const ADDRESSES: readonly (readonly [string, RegExp])[] = [
  ["0", /^127\.0\.0\.1:\d+$/],
  ["127.0.0.1:0", /^127\.0\.0\.1:\d+$/],
  ["127.0.0.2:0", /^127\.0\.0\.2:\d+$/],
  ["localhost:0", /^(127\.0\.0\.1|\[::1\]):\d+$/],
  ["LOCALHOST:0", /^(127\.0\.0\.1|\[::1\]):\d+$/],
  ["[::1]:0", /^\[::1\]:\d+$/],
  ["[::ffff:127.0.0.1]:0", /^127\.0\.0\.1:\d+$/],
];

for (const [address, announced] of ADDRESSES) {
  Deno.test(`--listen ${address} announces an address that can be connected to as it stands`, async () => {
    await using server = sockpipe(["--listen", address], { stdin: "piped" });
    const at = await server.listening();
    assertMatch(at.address, announced);
    assert(at.port > 0);
    assertEquals(
      server.stderr.text(),
      `sockpipe: listening on ${at.address}\n`,
    );
    await assertTalk(server, at.address);
  });
}

for (const address of ["*:0", ":0"]) {
  for (const host of ["127.0.0.1", "127.0.0.2", "[::1]"]) {
    Deno.test(`--listen ${address} is reached over ${host}, and says that other machines can reach it`, async () => {
      await using server = sockpipe(["--listen", address], { stdin: "piped" });
      const at = await server.listening();
      assertMatch(server.stderr.text(), /other machines can reach it/);
      await assertTalk(server, `${host}:${at.port}`);
    });
  }
}

Deno.test("a bare port is on 127.0.0.1 and on no other address", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using other = sockpipe(
    ["--connect", `127.0.0.2:${at.port}`, "--retries", "0"],
  );
  assertEquals(await other.code(), 3);
  await using bare = sockpipe(["--connect", `${at.port}`], { stdin: "x" });
  assertEquals([await bare.code(), await server.code()], [0, 0]);
});

Deno.test("a listener on [::1] is not reached over 127.0.0.1", async () => {
  await using server = sockpipe(["--listen", "[::1]:0"]);
  const at = await server.listening();
  await using client = sockpipe(
    ["--connect", `127.0.0.1:${at.port}`, "--retries", "0"],
  );
  assertEquals(await client.code(), 3);
});

Deno.test("an IPv6 address is in brackets in what is said", async () => {
  using raw = Deno.listen({ hostname: "::1", port: 0 });
  const { port } = raw.addr;
  raw.close();
  await using client = sockpipe(
    ["--connect", `[::1]:${port}`, "--retries", "1", "--retry-delay", "20ms"],
  );
  assertEquals(await client.code(), 3);
  assertMatch(
    client.stderr.text(),
    RegExp(
      `^sockpipe: cannot connect to \\[::1\\]:${port}: connection refused; next attempt in 20ms\n`,
    ),
  );
});

/** Words that start a program to which `both.test` is `::1` and `127.0.0.1`. */
async function underBothTest(folder: Folder): Promise<string[] | undefined> {
  const hosts = `${folder.path}/hosts`;
  await Deno.writeTextFile(
    hosts,
    "127.0.0.1 localhost\n::1 both.test\n127.0.0.1 both.test\n",
  );
  const words = (flags: string) => [
    "unshare",
    flags,
    "bash",
    "-c",
    `mount --bind '${hosts}' /etc/hosts && exec "$0" "$@"`,
  ];
  for (const flags of ["-m", "-rm"]) {
    await using tried = shell('"$@"', [...words(flags), "true"]);
    if (await tried.code() === 0) return words(flags);
  }
  say("skipped, as no mount namespace can be made: a name with two addresses");
  return undefined;
}

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`a name with an IPv6 and an IPv4 address reaches a listener on ${hostname} alone`, async () => {
    using folder = new Folder();
    const under = await underBothTest(folder);
    if (under === undefined) return;
    using raw = Deno.listen({ hostname, port: 0 });
    await using client = sockpipe(
      ["--connect", `both.test:${raw.addr.port}`, "--retries", "0"],
      { stdin: "fallback", under },
    );
    using conn = await accept(raw);
    assertEquals(await receiveText(conn), "fallback");
    conn.closeWrite();
    assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
  });
}

Deno.test("a name none of whose addresses answers is one failed attempt", async () => {
  using folder = new Folder();
  const under = await underBothTest(folder);
  if (under === undefined) return;
  const port = closedPort();
  await using client = sockpipe(
    ["--connect", `both.test:${port}`, "--retries", "1"].concat(
      ["--retry-delay", "20ms"],
    ),
    { under },
  );
  const { code, stderr } = await client.result();
  assertEquals(code, 3);
  assertMatch(
    stderr,
    RegExp(
      `^sockpipe: cannot connect to both\\.test:${port}: connection refused; next attempt in 20ms\nsockpipe: [^\n]*\n$`,
    ),
  );
});

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
  const openFiles = async () => {
    await using list = shell("ls /proc/$1/fd | wc -l", [client.pid]);
    return Number((await list.result()).stdout);
  };
  const attempts = () => client.stderr.text().split("\n").length;
  await until(() => attempts() > 5 || undefined, "5 attempts");
  const before = await openFiles();
  await until(() => attempts() > 45 || undefined, "45 attempts");
  const after = await openFiles();
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

Deno.test("a listener restarts at once on the same port, though it had closed first", async () => {
  const port = closedPort();
  for (let round = 1; round <= 3; round++) {
    await using server = sockpipe(["--listen", `${port}`]);
    await server.listening();
    using conn = await dial(port);
    // Ours is the second end: TIME_WAIT stays at the listener's port (RFC 9293).
    assertEquals((await receive(conn)).length, 0);
    await send(conn, `round ${round}`);
    conn.closeWrite();
    assertEquals(await server.code(), 0);
    assertEquals(server.stdout.text(), `round ${round}`);
  }
});

Deno.test({
  name: "--reuse-port: two listeners share one port, and each gets its peer",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { server: first, at } = await listener(["--reuse-port"]);
    await using _first = first;
    await using second = sockpipe(["--listen", at.address, "--reuse-port"]);
    assertEquals((await second.listening()).port, at.port);
    for (const text of ["one", "two"]) {
      // A peer that came to a listener which has its own already is refused.
      await using client = sockpipe(
        ["--connect", at.address, "--retry-delay", "20ms", "--message", text],
      );
      assertEquals(await client.code(), 0);
    }
    assertEquals([await first.code(), await second.code()], [0, 0]);
    assertEquals(
      [first.stdout.text(), second.stdout.text()].sort(),
      ["one", "two"],
    );
  },
});

Deno.test("--reuse-port does not let a listener in that has not asked for it", async () => {
  const { server, at } = await listener(["--reuse-port"]);
  await using _server = server;
  await using second = sockpipe(["--listen", at.address]);
  assertEquals(await second.code(), 4);
});

Deno.test("a unix socket carries both ways and is removed at the end", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/a name with spaces é`;
  await using server = sockpipe(["--listen", address], { stdin: "piped" });
  await server.said(/listening on unix:.*é\n/);
  await assertTalk(server, address);
  assertEquals(folder.names(), []);
});

Deno.test("a unix socket is removed as soon as its peer has come", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`], {
    stdin: "piped",
  });
  await server.listening();
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, "first");
  await server.stdout.atLeast(5);
  assertEquals(folder.names(), []);
});

Deno.test("a unix socket that nobody listens on any more is taken over", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/socket`;
  await using killed = sockpipe(["--listen", address]);
  await killed.listening();
  killed.kill("SIGKILL");
  await killed.code();
  assertEquals(folder.names(), ["socket"]);
  await using server = sockpipe(["--listen", address], { stdin: "piped" });
  await server.listening();
  await assertTalk(server, address);
});

Deno.test("a file that has taken the place of the unix socket is not removed", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await server.listening();
  await Deno.rename(path, `${path}.moved`);
  await Deno.writeTextFile(path, "precious");
  using conn = await Deno.connect({
    transport: "unix",
    path: `${path}.moved`,
  });
  conn.closeWrite();
  assertEquals(await server.code(), 0);
  assertEquals(await Deno.readTextFile(path), "precious");
});

Deno.test("a unix socket peer that goes away after a part makes exit 1", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  using raw = Deno.listen({ transport: "unix", path });
  await using client = sockpipe(["--connect", `unix:${path}`], {
    stdin: "piped",
  });
  const conn = await raw.accept();
  const feeding = client.feed(new Uint8Array(8 << 20)).catch(() => {});
  await receive(conn, 1000);
  conn.close();
  assertEquals(await client.code(), 1);
  await feeding;
});

Deno.test("stdin and stdout are left blocking for who shares them", async () => {
  using raw = rawListener();
  await using commands = shell(
    `sockpipe --connect "$1"; echo
    grep -h flags /proc/self/fdinfo/0 /proc/self/fdinfo/1`,
    [raw.port],
    { stdin: "shared" },
  );
  using conn = await accept(raw);
  await send(conn, "answer");
  conn.closeWrite();
  assertEquals(await receiveText(conn), "shared");
  const { stdout } = await commands.result();
  const flags = [...stdout.matchAll(/flags:\t(\d+)/g)].map(([, octal]) =>
    Number.parseInt(octal ?? "", 8)
  );
  // Bit 04000 is O_NONBLOCK (proc_pid_fdinfo(5)).
  assertEquals(flags.map((bits) => bits & 0o4000), [0, 0]);
});
