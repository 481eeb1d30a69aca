/** Every exit code that can be reached, each way to reach it. */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { delay } from "@std/async/delay";
import { parseCommandLine } from "../../lib/cli/parse.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { randomBytes } from "../helpers/bytes.ts";
import { testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import { blackHole, resettingPeer } from "../helpers/peers.ts";
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

/** A failed run says one sentence on stderr and nothing on stdout. */
async function assertFails(
  process: Running,
  code: number,
  sentence: RegExp,
): Promise<void> {
  const result = await process.result();
  const last = result.stderr.trimEnd().split("\n").at(-1) ?? "";
  assertMatch(last, /^sockpipe: \S.*[^.]$/);
  assertMatch(last, sentence);
  assertEquals(result.code, code, result.stderr);
}

Deno.test("exit 0 on both sides when both streams arrived and ended", async () => {
  const { server, at } = await listener([], { stdin: "from the listener\n" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], {
    stdin: "from the connector\n",
  });
  assertEquals(await client.result(), {
    code: 0,
    stdout: "from the listener\n",
    stderr: "",
  });
  const result = await server.result();
  assertEquals([result.code, result.stdout], [0, "from the connector\n"]);
});

Deno.test("exit 0 when nothing was sent either way", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using client = sockpipe(["--connect", at.address]);
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals([client.stdout.length, server.stdout.length], [0, 0]);
});

Deno.test("exit 0 for --probe, which says who is there, sends nothing and leaves stdin alone", async () => {
  using raw = rawListener();
  await using probe = shell(
    'sockpipe --connect "$1" --probe; echo "$?"; cat',
    [raw.port],
    { stdin: "for the next command\n" },
  );
  using conn = await accept(raw);
  assertEquals((await receive(conn)).length, 0);
  const result = await probe.result();
  assertEquals(result.stdout, "0\nfor the next command\n");
  assertMatch(result.stderr, RegExp(`^sockpipe: .*127.0.0.1:${raw.port}.*\n$`));
});

for (const option of ["--help", "-h", "--version", "-V"]) {
  Deno.test(`exit 0 for ${option}, which speaks on stdout`, async () => {
    await using help = sockpipe([option]);
    const { code, stdout, stderr } = await help.result();
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /sockpipe|\d+\.\d+\.\d+/);
    assert(stdout.endsWith("\n"));
  });
}

Deno.test("--help names every option of the contract within 80 columns", async () => {
  await using help = sockpipe(["--help"]);
  const { stdout } = await help.result();
  const options = "listen connect data-size message send-only receive-only " +
    "retry-delay retry-max-delay retries retry-timeout connect-timeout " +
    "accept-timeout idle-timeout probe reuse-port verbose quiet";
  for (const option of options.split(" ")) {
    assertMatch(stdout, RegExp(`--${option}\\b`));
  }
  const longest = Math.max(...stdout.split("\n").map((line) => line.length));
  assert(longest <= 80, `a line of ${longest} columns`);
});

Deno.test("exit 1 when the peer resets the connection, with the bytes that were sent and received", async () => {
  await using peer = await resettingPeer({ sends: 1 << 20 });
  await using client = sockpipe(["--connect", `${peer.port}`], {
    stdin: "piped",
  });
  await client.stdout.atLeast(1 << 20);
  await client.feed("a question");
  await peer.stdout.match(/ready/);
  peer.kill("SIGKILL");
  await assertFails(client, 1, /reset.*\b10 bytes\b.*\b1048576 bytes\b/);
  assertEquals(client.stdout.length, 1 << 20);
});

Deno.test("exit 1 of a listener whose client resets the connection", async () => {
  const { server, at } = await listener([], { stdin: "a greeting" });
  await using _server = server;
  await using peer = await resettingPeer({ sends: 5, dialing: at.port });
  await server.stdout.atLeast(5);
  await peer.stdout.match(/ready/);
  peer.kill("SIGKILL");
  await assertFails(server, 1, /reset.*\b10 bytes\b.*\b5 bytes\b/);
});

Deno.test("exit 1 when the peer closes after taking only a part", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: new Uint8Array(64 << 20),
  });
  const conn = await accept(raw);
  await receive(conn, 1 << 20);
  conn.close();
  await assertFails(client, 1, /sent \d+ bytes|\d+ bytes sent/);
});

Deno.test("exit 1 when the peer is gone and more comes from stdin later", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
  });
  const conn = await accept(raw);
  await client.feed("first");
  assertEquals(await receiveText(conn, 5), "first");
  conn.close();
  await client.stdout.ended;
  // The first write after the close is answered with a reset, the next one fails.
  const feeding = (async () => {
    for (;;) {
      await client.feed("more");
      await delay(50);
    }
  })().catch(() => {});
  await assertFails(client, 1, /./);
  await feeding;
});

Deno.test("exit 1 when the peer is gone and the very last bytes come from stdin", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
  });
  const conn = await accept(raw);
  await client.feed("first");
  assertEquals(await receiveText(conn, 5), "first");
  conn.close();
  await client.stdout.ended;
  await client.feed("last");
  await client.endStdin();
  await assertFails(client, 1, /\b9 bytes\b/);
});

Deno.test("exit 1 when the peer resets after our end, with our last bytes unread", async () => {
  await using peer = await resettingPeer({ sends: 0 });
  await using client = sockpipe(["--connect", `${peer.port}`, "-v"], {
    stdin: "a question",
  });
  await peer.stdout.match(/ready/);
  await client.said(/waiting for the peer/);
  peer.kill("SIGKILL");
  await assertFails(client, 1, /reset/);
});

Deno.test("exit 2 and a short help on stderr without --listen and --connect", async () => {
  await using bare = sockpipe([]);
  const { code, stdout, stderr } = await bare.result();
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /--listen ADDRESS/);
  assertMatch(stderr, /--connect ADDRESS/);
  assertMatch(stderr, /--help/);
});

/** What the words `LISTEN` and `CONNECT` stand for: an address that is busy. */
const USAGE_ERRORS: readonly (readonly [string, RegExp])[] = [
  ["--listen LISTEN --baffle", /--baffle/],
  ["--connect CONNECT --baffle=1", /--baffle/],
  ["--connect CONNECT -x", /-x/],
  ["--lissten LISTEN", /--lissten/],
  ["--listen", /--listen/],
  ["--listen=", /--listen/],
  ["--connect", /--connect/],
  ["--connect=", /--connect/],
  ["--listen LISTEN --data-size", /--data-size/],
  ["--listen LISTEN --data-size=", /--data-size/],
  ["--listen --data-size 64k", /--listen/],
  ["--connect CONNECT --message", /--message/],
  ["--connect CONNECT --message=", /--message/],
  ["--connect CONNECT --retries", /--retries/],
  ["--connect CONNECT --probe=yes", /--probe/],
  ["--listen LISTEN --send-only=false", /--send-only/],
  ["--listen LISTEN --listen LISTEN", /--listen/],
  ["-l LISTEN --listen LISTEN", /--listen/],
  ["--connect CONNECT -c CONNECT", /--connect/],
  ["--connect CONNECT --message a --message b", /--message/],
  ["--connect CONNECT --retries 1 --retries 2", /--retries/],
  ["--listen LISTEN --data-size 1 --data-size=1", /--data-size/],
  ["--listen LISTEN --connect CONNECT", /--listen.*--connect/],
  ["--probe", /--listen.*--connect/],
  ["-v", /--listen.*--connect/],
  ["LISTEN", /--listen/],
  ["--listen LISTEN file", /file/],
  ["--connect CONNECT -", /-/],
  ["--connect CONNECT -- --message", /--message/],
  ["--listen LISTEN --quiet true", /true/],
  ["--quiet false --listen LISTEN", /false/],
  ["--listen LISTEN --send-only --receive-only", /--send-only.*--receive-only/],
  ["--connect CONNECT --message a --receive-only", /--message.*--receive-only/],
  ["--listen LISTEN --probe", /--probe/],
  ["--listen LISTEN --retries 1", /--retries/],
  ["--listen LISTEN --retry-delay 1s", /--retry-delay/],
  ["--listen LISTEN --retry-max-delay 1s", /--retry-max-delay/],
  ["--listen LISTEN --retry-timeout 1s", /--retry-timeout/],
  ["--listen LISTEN --connect-timeout 1s", /--connect-timeout/],
  ["--connect CONNECT --accept-timeout 1s", /--accept-timeout/],
  ["--connect CONNECT --reuse-port", /--reuse-port/],
  ["--connect CONNECT --probe --message a", /--probe.*--message/],
  ["--connect CONNECT --probe --send-only", /--probe.*--send-only/],
  ["--connect CONNECT --probe --receive-only", /--probe.*--receive-only/],
  ["--connect CONNECT -q -v", /--quiet.*--verbose/],
  ["--listen LISTEN --data-size 0", /--data-size "0".*1.*16M/],
  ["--listen LISTEN --data-size 17M", /--data-size "17M".*16M/],
  ["--listen LISTEN --data-size 16777217", /--data-size "16777217".*16M/],
  ["--listen LISTEN --data-size 99999999999999999999G", /--data-size/],
  ["--listen LISTEN --data-size -1", /-1/],
  ["--listen LISTEN --data-size=-1", /--data-size "-1"/],
  ["--listen LISTEN --data-size 1.5k", /--data-size "1.5k"/],
  ["--listen LISTEN --data-size 64kB", /--data-size "64kB"/],
  ["--listen LISTEN --data-size many", /--data-size "many"/],
  ["--listen LISTEN --accept-timeout 3x", /--accept-timeout "3x"/],
  ["--listen LISTEN --accept-timeout soon", /--accept-timeout "soon"/],
  ["--listen LISTEN --idle-timeout 0", /--idle-timeout "0"/],
  ["--listen LISTEN --idle-timeout=-1s", /--idle-timeout/],
  ["--listen LISTEN --idle-timeout 9999999h", /--idle-timeout "9999999h"/],
  ["--connect CONNECT --connect-timeout 1,5", /--connect-timeout "1,5"/],
  ["--connect CONNECT --retry-delay 0", /--retry-delay "0"/],
  ["--connect CONNECT --retry-timeout 1d", /--retry-timeout "1d"/],
  ["--connect CONNECT --retries=-1", /--retries/],
  ["--connect CONNECT --retries 1.5", /--retries "1.5"/],
  ["--connect CONNECT --retries few", /--retries "few"/],
  ["--listen 65536", /--listen "65536".*65535/],
  ["--listen=-1", /--listen/],
  ["--listen 127.0.0.1:99999", /--listen "127.0.0.1:99999"/],
  ["--listen no-service", /--listen "no-service"/],
  ["--listen 127.0.0.1:no-service", /--listen "127.0.0.1:no-service"/],
  ["--listen 127.0.0.1:", /--listen "127.0.0.1:"/],
  ["--listen 1:2:3", /--listen "1:2:3"/],
  ["--listen ::1:8000", /--listen "::1:8000".*\[/],
  ["--listen [::1]", /--listen "\[::1\]"/],
  ["--listen [::1", /--listen/],
  ["--listen [no]:1", /--listen "\[no\]:1"/],
  ["--listen unix:", /--listen "unix:"/],
  [`--listen unix:/${"long/".repeat(30)}`, /--listen .*long/],
  ["--connect 0", /--connect "0"/],
  ["--connect localhost:0", /--connect "localhost:0"/],
  ["--connect :CONNECT", /--connect ":/],
  ["--connect *:CONNECT", /--connect "\*:/],
  ["--connect localhost", /--connect "localhost"/],
];

Deno.test("exit 2 and one sentence that names the option for every usage error, before any socket is opened", async (t) => {
  // Both addresses are taken by this test: a program that tries to listen gets
  // exit 4, and one that connects is seen here.
  using raw = rawListener();
  for (const [line, sentence] of USAGE_ERRORS) {
    await t.step(`sockpipe ${line}`, () => {
      const args = line.replaceAll(/LISTEN|CONNECT/g, `${raw.port}`).split(" ");
      const { message } = assertThrows(
        () => parseCommandLine(args),
        UsageError,
      );
      assertMatch(message, /^[^\n]*[^.\n]$/);
      assertMatch(message, sentence);
    });
  }
  // That such an error of the parser is all that happens; starts are dear.
  for (const [line, sentence] of USAGE_ERRORS.filter((_, at) => at % 8 === 0)) {
    await t.step(`the program: sockpipe ${line}`, async () => {
      const args = line.replaceAll(/LISTEN|CONNECT/g, `${raw.port}`).split(" ");
      await using process = sockpipe(args, { stdin: "not to be read" });
      const { code, stdout, stderr } = await process.result();
      assertMatch(stderr, /^sockpipe: [^\n]*[^.\n]\n$/);
      assertMatch(stderr, sentence);
      assertEquals([code, stdout], [2, ""], stderr);
    });
  }
  await t.step("nobody connected meanwhile", async () => {
    using own = await dial(raw.port);
    using first = await accept(raw);
    assertEquals(first.remoteAddr.port, own.localAddr.port);
  });
});

Deno.test("exit 3 when the connection is refused and no attempt is left", async () => {
  const port = closedPort();
  await using client = sockpipe(["--connect", `${port}`, "--retries", "0"]);
  await assertFails(
    client,
    3,
    RegExp(`annot connect to "?127.0.0.1:${port}"?: .*refused`),
  );
  assertEquals(client.stdout.length, 0);
  assertEquals(client.stderr.text().split("\n").length, 2);
});

Deno.test("exit 3 when the retries are used up, after one line for each pause", async () => {
  const port = closedPort();
  await using client = sockpipe(
    ["--connect", `${port}`, "--retries", "3", "--retry-delay", "20ms"],
  );
  await assertFails(client, 3, /refused/);
  const retry =
    `sockpipe: cannot connect to 127.0.0.1:${port}: connection refused; next attempt in 20ms\n`;
  assert(
    client.stderr.text().startsWith(retry.repeat(3)),
    client.stderr.text(),
  );
  assertEquals(client.stderr.text().split("\n").length, 5);
});

Deno.test("exit 3 at once for a name that does not exist, with no further attempt", async () => {
  await using client = sockpipe(["--connect", "no-such-host.invalid:80"]);
  await assertFails(client, 3, /"?no-such-host\.invalid(:80)?"?/);
  assert(!client.stderr.text().includes("next attempt"));
});

Deno.test("exit 3 when the unix socket is not there and no attempt is left", async () => {
  using folder = new Folder();
  const path = `${folder.path}/none`;
  await using client = sockpipe(
    ["--connect", `unix:${path}`, "--retries", "0"],
  );
  await assertFails(client, 3, RegExp(path));
});

Deno.test("exit 3 for --probe when nobody is there", async () => {
  await using probe = sockpipe(
    ["--connect", `${closedPort()}`, "--probe", "--retries", "0"],
  );
  await assertFails(probe, 3, /refused/);
});

Deno.test("exit 4 when another listener has the port", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using second = sockpipe(["--listen", at.address]);
  await assertFails(second, 4, RegExp(`${at.address}.*in use`));
  assertEquals(second.stdout.length, 0);
});

Deno.test("exit 4 when the address is not one of this machine", async () => {
  // TEST-NET-3 of RFC 5737; only bind(2) is tried.
  await using server = sockpipe(["--listen", "203.0.113.7:0"]);
  await assertFails(server, 4, /203\.0\.113\.7/);
});

Deno.test("exit 4 when the name to listen on does not exist", async () => {
  await using server = sockpipe(["--listen", "no-such-host.invalid:0"]);
  await assertFails(server, 4, /no-such-host\.invalid/);
});

testWith(
  ["setpriv"],
  "exit 4 below port 1024 without the right, which the sentence names",
  async () => {
    const start = await Deno.readTextFile(
      "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    const under = Deno.uid() === 0
      ? ["setpriv", "--bounding-set", "-net_bind_service", "--"]
      : [];
    if (Number(start) <= 1) return;
    await using server = sockpipe(["--listen", "1"], { under });
    await assertFails(server, 4, /1024/);
  },
);

Deno.test("exit 4 when the folder of the unix socket is not there", async () => {
  using folder = new Folder();
  const path = `${folder.path}/none/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await assertFails(server, 4, RegExp(path));
});

Deno.test("exit 4 when a file stands where the unix socket should be, and the file stays", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, "precious");
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await assertFails(server, 4, RegExp(path));
  assertEquals(await Deno.readTextFile(path), "precious");
});

Deno.test("exit 4 when a living listener has the unix socket, which stays its own", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/socket`;
  await using server = sockpipe(["--listen", address]);
  await server.listening();
  await using second = sockpipe(["--listen", address]);
  await assertFails(second, 4, /in use/);
  await using client = sockpipe(["--connect", address], { stdin: "hello" });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "hello");
});

Deno.test("exit 5 when nobody came within --accept-timeout", async () => {
  await using server = sockpipe(
    ["--listen", "0", "--accept-timeout", "300ms"],
  );
  await assertFails(server, 5, /300ms/);
  assertMatch(server.stderr.text(), /nobody|no peer|accept/i);
});

Deno.test("exit 5 when no byte passed for --idle-timeout, on either side", async () => {
  const { server, at } = await listener(
    ["--idle-timeout", "400ms"],
    { stdin: "piped" },
  );
  await using _server = server;
  using conn = await dial(at.port);
  await send(conn, "a");
  await assertFails(server, 5, /400ms/);
  assertMatch(server.stderr.text(), /idle|no byte|nothing/i);

  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `${raw.port}`, "--idle-timeout", "400ms"],
    { stdin: "piped" },
  );
  using _conn = await accept(raw);
  await assertFails(client, 5, /400ms/);
});

Deno.test("exit 5 when --retry-timeout is over", async () => {
  await using client = sockpipe(
    ["--connect", `${closedPort()}`, "--retry-delay", "100ms"].concat(
      ["--retry-timeout", "500ms"],
    ),
  );
  await assertFails(client, 5, /500ms/);
  assertMatch(client.stderr.text(), /next attempt in 100ms/);
});

Deno.test("exit 5 when --retry-timeout ends within a long pause", async () => {
  await using client = sockpipe(
    ["--connect", `${closedPort()}`, "--retry-delay", "1h"].concat(
      ["--retry-timeout", "500ms"],
    ),
  );
  await assertFails(client, 5, /500ms/);
});

Deno.test("exit 5 when --connect-timeout is over and no attempt is left", async () => {
  await using hole = await blackHole();
  await using client = sockpipe(
    ["--connect", `${hole.port}`, "--connect-timeout", "300ms"].concat(
      ["--retries", "1", "--retry-delay", "20ms"],
    ),
  );
  await assertFails(client, 5, /300ms|timed out/);
  assertMatch(
    client.stderr.text(),
    /^sockpipe: cannot connect to 127\.0\.0\.1:\d+: [^\n]*; next attempt in 20ms\n/,
  );
  assertEquals(client.stderr.text().split("\n").length, 3);
});

testWith(
  ["/dev/full"],
  "exit 8 when stdout cannot be written, at once",
  async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], {
      stdin: "piped",
      redirect: ">/dev/full",
    });
    using conn = await accept(raw);
    await send(conn, "no room for this");
    await assertFails(client, 8, /stdout.*no space left/i);
  },
);

testWith(
  ["/dev/full"],
  "exit 8 of a listener whose stdout cannot be written",
  async () => {
    const { server, at } = await listener([], { redirect: ">/dev/full" });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address], { stdin: "data" });
    await assertFails(server, 8, /stdout.*no space left/i);
    await client.code();
  },
);

Deno.test("exit 8 when stdin cannot be read", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    redirect: "</",
  });
  using conn = await accept(raw);
  await assertFails(client, 8, /stdin.*directory/i);
  await receive(conn).catch(() => {});
});

Deno.test("exit 141 without a word when the reader of stdout has gone", async () => {
  using raw = rawListener();
  await using pipeline = shell(
    'sockpipe --connect "$1" | head -c 10; echo " ${PIPESTATUS[*]}"',
    [raw.port],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  const sending = (async () => {
    for (;;) await send(conn, "0123456789");
  })().catch(() => "closed");
  assertEquals(await pipeline.result(), {
    code: 0,
    stdout: "0123456789 141 0\n",
    stderr: "",
  });
  assertEquals(await sending, "closed");
});

const SIGNALS = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;

/** How long a process may take to obey a signal on a loaded machine, in ms. */
const AT_ONCE_MS = 5000;

for (const [signal, code] of SIGNALS) {
  Deno.test(`exit ${code} at once after ${signal} while waiting for a peer`, async () => {
    const { server } = await listener();
    await using _server = server;
    server.kill(signal);
    assertEquals(await server.code(AT_ONCE_MS), code);
  });

  Deno.test(`exit ${code} at once after ${signal} in the pause before the next attempt`, async () => {
    await using client = sockpipe(
      ["--connect", `${closedPort()}`, "--retry-delay", "1h"],
    );
    await client.said(/next attempt in 1h/);
    client.kill(signal);
    assertEquals(await client.code(AT_ONCE_MS), code);
  });

  Deno.test(`exit ${code} at once after ${signal} in an idle connection, which ends`, async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], {
      stdin: "piped",
    });
    using conn = await accept(raw);
    await client.feed("x");
    await receive(conn, 1);
    client.kill(signal);
    assertEquals(await client.code(AT_ONCE_MS), code);
    await receive(conn).catch(() => {});
  });
}

Deno.test("exit 130 at once after SIGINT while connecting", async () => {
  await using hole = await blackHole();
  await using client = sockpipe(["--connect", `${hole.port}`, "-v"]);
  await client.said(/connecting to/);
  client.kill("SIGINT");
  assertEquals(await client.code(AT_ONCE_MS), 130);
});

Deno.test("exit 143 at once after SIGTERM while stdout and the peer are stuck", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: randomBytes(64 << 20),
    heldStdout: true,
  });
  using conn = await accept(raw);
  const sending = send(conn, new Uint8Array(64 << 20)).catch(() => {});
  // Both ways are open; the peer reads no more than this, and stdout nothing.
  await receive(conn, 1 << 20);
  client.kill("SIGTERM");
  client.stdout.release();
  assertEquals(await client.code(AT_ONCE_MS), 143);
  await sending;
});

Deno.test("exit 143 after SIGTERM removes the unix socket", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await server.listening();
  server.kill("SIGTERM");
  assertEquals(await server.code(AT_ONCE_MS), 143);
  assertEquals(folder.names(), []);
});
