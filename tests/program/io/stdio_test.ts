/** stdin, stdout and stderr that are closed, full or not what one expects. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { engineTest } from "../../helpers/conditions.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  rawListener,
  receive,
  send,
} from "../../helpers/tcp.ts";

/** All ways to leave out some of the three. */
const CLOSED: readonly string[] = Array.from(
  { length: 8 },
  (_, bits) =>
    ["<&-", ">&-", "2>&-"].filter((_, i) => bits & (1 << i)).join(" "),
);

/** What no user may ever see. */
const CRASH = /panicked|Uncaught|RUST_BACKTRACE|^\s+at .+:\d+:\d+/m;

/** Ends by itself, with one of the codes, and without a stack trace. */
async function assertExits(
  process: Running,
  codes: readonly number[],
): Promise<void> {
  const { code, stderr } = await process.result();
  assert(!CRASH.test(stderr), stderr);
  assert(codes.includes(code), `exit ${code}: ${stderr}`);
}

/**
 * The runtime opens /dev/null for a closed stdout (Rust's std does), so that what
 * is written there is either taken or refused.
 */
function withStdout(redirect: string): readonly number[] {
  return redirect.includes(">&-") ? [0, 8] : [0];
}

for (const redirect of CLOSED) {
  const name = redirect === "" ? "all of stdin, stdout and stderr" : redirect;

  Deno.test(`${name}: --help and --version end`, async () => {
    for (const option of ["--help", "--version"]) {
      await using help = sockpipe([option], { redirect });
      await assertExits(help, withStdout(redirect.replace("2>&-", "")));
    }
  });

  Deno.test(`${name}: a usage error and a bare command end with 2`, async () => {
    for (const args of [[], ["--baffle"]]) {
      await using usage = sockpipe(args, { redirect });
      await assertExits(usage, [2]);
    }
  });

  Deno.test(`${name}: a refused connection ends with 3`, async () => {
    await using client = sockpipe(
      ["--connect", `${closedPort()}`, "--retries", "1"].concat(
        ["--retry-delay", "20ms"],
      ),
      { redirect },
    );
    await assertExits(client, [3]);
  });

  Deno.test(`${name}: an address in use ends with 4`, async () => {
    using raw = rawListener();
    await using server = sockpipe(["--listen", `${raw.port}`], { redirect });
    await assertExits(server, [4]);
  });

  Deno.test(`${name}: a connection carries what there is and ends`, async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], {
      redirect,
      stdin: "typed",
    });
    using conn = await accept(raw);
    await send(conn, "said");
    const received = await receive(conn);
    assertEquals(received.length, redirect.includes("<&-") ? 0 : 5);
    conn.closeWrite();
    await assertExits(client, withStdout(redirect.replace("2>&-", "")));
    const stdoutIsOpen = !redirect.replace("2>&-", "").includes(">&-");
    assertEquals(client.stdout.text(), stdoutIsOpen ? "said" : "");
  });

  Deno.test(`${name}: a listener carries what there is and ends`, async () => {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    await using server = sockpipe(["--listen", `unix:${path}`], {
      redirect,
      stdin: "typed",
    });
    // Without stderr there is no announcement to wait for.
    using conn = await until(
      () =>
        Deno.connect({ transport: "unix", path }).catch((error) => {
          const { NotFound, ConnectionRefused } = Deno.errors;
          if (
            error instanceof NotFound || error instanceof ConnectionRefused
          ) return undefined;
          throw error;
        }),
      "the unix socket",
    );
    await send(conn, "said");
    const received = await receive(conn);
    assertEquals(received.length, redirect.includes("<&-") ? 0 : 5);
    conn.closeWrite();
    await assertExits(server, withStdout(redirect.replace("2>&-", "")));
  });
}

Deno.test("a full stdout makes --help and --version end with 8", async () => {
  for (const option of ["--help", "--version"]) {
    await using help = sockpipe([option], { redirect: ">/dev/full" });
    await assertExits(help, [8]);
    assertMatch(help.stderr.text(), /stdout.*no space left/i);
  }
});

Deno.test("a full stderr changes no exit code", async () => {
  const redirect = "2>/dev/full";
  await using help = sockpipe(["--help"], { redirect });
  await assertExits(help, [0]);
  await using bare = sockpipe([], { redirect });
  await assertExits(bare, [2]);
  await using refused = sockpipe(
    ["--connect", `${closedPort()}`, "--retries", "1"].concat(
      ["--retry-delay", "20ms"],
    ),
    { redirect },
  );
  await assertExits(refused, [3]);
});

Deno.test("a full stderr does not stop the data, also with -v", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, "-v"], {
    redirect: "2>/dev/full",
    stdin: "question",
  });
  using conn = await accept(raw);
  assertEquals((await receive(conn)).length, 8);
  await send(conn, "answer");
  conn.closeWrite();
  await assertExits(client, [0]);
  assertEquals(client.stdout.text(), "answer");
});

Deno.test("a full stdout and a full stderr end with 8, without a crash", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, "-v"], {
    redirect: ">/dev/full 2>/dev/full",
    stdin: "piped",
  });
  using conn = await accept(raw);
  await send(conn, "no room");
  await assertExits(client, [8]);
  await receive(conn).catch(() => {});
});

Deno.test("a full stdout does not matter to --send-only", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, "--send-only"], {
    redirect: ">/dev/full",
    stdin: "one way",
  });
  using conn = await accept(raw);
  await send(conn, "dropped");
  assertEquals((await receive(conn)).length, 7);
  conn.closeWrite();
  await assertExits(client, [0]);
});

Deno.test("a directory as stdin does not matter to --receive-only and --message", async () => {
  for (const option of [["--receive-only"], ["--message", "text"]]) {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`, ...option], {
      redirect: "</",
    });
    using conn = await accept(raw);
    await send(conn, "data");
    conn.closeWrite();
    await receive(conn);
    await assertExits(client, [0]);
    assertEquals(client.stdout.text(), "data");
  }
});

for (const option of ["--help", "--connect"]) {
  Deno.test(`${option} into a reader that has gone, with stderr closed, ends with 141 and no crash`, async () => {
    using raw = rawListener();
    using folder = new Folder();
    const args = option === "--help" ? "--help" : `--connect ${raw.port}`;
    await using gone = shell(
      // The reader has certainly gone once the fifo is open and it has ended.
      `mkfifo "$1/fifo"
      : <"$1/fifo" & exec 4>"$1/fifo"; wait
      sockpipe ${args} >&4 2>&- 4>&-; echo "$?"`,
      [folder.path],
      { stdin: "piped" },
    );
    if (option === "--connect") {
      using conn = await accept(raw);
      await send(conn, "for nobody");
      await receive(conn).catch(() => {});
    }
    assertEquals(await gone.result(), {
      code: 0,
      stdout: "141\n",
      stderr: "",
    });
  });
}

Deno.test("a reader of stderr that has gone changes nothing", async () => {
  using raw = rawListener();
  await using client = shell(
    `exec 3>&1
    { sockpipe --connect "$1" -v 2>&1 >&3; echo "$?" >&3; } | read -r _`,
    [raw.port],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  await client.feed("later");
  await receive(conn, 5);
  await send(conn, "answer ");
  conn.closeWrite();
  await client.endStdin();
  const { stdout } = await client.result();
  assertEquals(stdout, "answer 0\n");
});

Deno.test("stdin, stdout and stderr may be files", async () => {
  using folder = new Folder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/in`, "from a file");
  const { server, at } = await listener([], {
    stdin: "to a file",
    redirect: `>'${path}/got'`,
  });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address, "-v"], {
    redirect: `<'${path}/in' >'${path}/out' 2>'${path}/err'`,
  });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await Deno.readTextFile(`${path}/out`), "to a file");
  assertEquals(await Deno.readTextFile(`${path}/got`), "from a file");
  assertMatch(await Deno.readTextFile(`${path}/err`), /connected to/);
});

Deno.test("output is appended to a file that is open for appending", async () => {
  using folder = new Folder();
  const file = `${folder.path}/log`;
  await Deno.writeTextFile(file, "before ");
  const { server, at } = await listener([], { redirect: `>>'${file}'` });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "after" });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await Deno.readTextFile(file), "before after");
});

engineTest(
  "a stdin that is open for writing only has nothing to send",
  async () => {
    // As with nohup(1) on a terminal.
    using folder = new Folder();
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], {
      redirect: `0>'${folder.path}/file'`,
    });
    using conn = await accept(raw);
    await send(conn, "received all the same");
    conn.closeWrite();
    assertEquals((await receive(conn)).length, 0);
    await assertExits(client, [0]);
    assertEquals(client.stdout.text(), "received all the same");
  },
);

engineTest("a stdout that is open for reading only ends with 8", async () => {
  using folder = new Folder();
  await Deno.writeTextFile(`${folder.path}/file`, "untouched");
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    redirect: `1<'${folder.path}/file'`,
  });
  await assertExits(client, [8]);
  assertEquals(await Deno.readTextFile(`${folder.path}/file`), "untouched");
});

for (const stdin of ["piped", "null"] as const) {
  Deno.test(`an idle connection takes no CPU time, stdin ${stdin}`, async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], { stdin });
    using conn = await accept(raw);
    await send(conn, "x");
    await client.stdout.atLeast(1);
    await delay(300);
    const before = await cpuMs(client);
    await delay(1500);
    const spent = await cpuMs(client) - before;
    assert(spent < 300, `${spent} ms of CPU in 1500 ms`);
    conn.closeWrite();
    await client.endStdin();
    assertEquals(await client.code(), 0);
  });
}

Deno.test("a stalled transfer takes no CPU time", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    redirect: "</dev/zero",
    heldStdout: true,
  });
  using conn = await accept(raw);
  let sent = 0;
  const sending = (async () => {
    for (;;) sent += await conn.write(new Uint8Array(65536));
  })().catch(() => {});
  let before = -1;
  await until(async () => {
    if (sent === before) return true;
    before = sent;
    await delay(300);
  }, "both ways to be stuck");
  const spentBefore = await cpuMs(client);
  await delay(1500);
  const spent = await cpuMs(client) - spentBefore;
  assert(spent < 300, `${spent} ms of CPU in 1500 ms`);
  client.kill("SIGKILL");
  client.stdout.release();
  await client.code();
  await sending;
});

for (const end of ["a signal", "its reader"] as const) {
  Deno.test(`small pieces for a stdout that is full wait for ${end}`, async () => {
    using raw = rawListener();
    await using client = sockpipe(
      ["--connect", `${raw.port}`, "--data-size=100", "--receive-only"],
      { heldStdout: true },
    );
    using conn = await accept(raw);
    // More than the pipe and both sockets hold, in many more pieces than 32.
    const data = randomBytes(16 * 1024 * 1024, 5);
    let sent = 0;
    const sending = (async () => {
      while (sent < data.length) {
        sent += await conn.write(data.subarray(sent, sent + 65536));
      }
      conn.closeWrite();
    })();
    sending.catch(() => {});
    let before = -1;
    await until(async () => {
      if (sent === before) return true;
      before = sent;
      await delay(100);
    }, "stdout to be full");
    assert(sent < data.length);
    if (end === "a signal") {
      client.kill("SIGINT");
      client.stdout.release();
      assertEquals(await client.code(), 130);
      await sending.catch(() => {});
    } else {
      client.stdout.release();
      await sending;
      assertEquals(await client.code(), 0);
      assertEquals(client.stdout.bytes(), data);
    }
  });
}

/** The CPU time of a process so far, in ms. */
async function cpuMs(process: Running): Promise<number> {
  await using ticks = shell(
    `read -r line </proc/$1/stat; set -- \${line##*) }
    echo $((($12 + $13) * 1000 / $(getconf CLK_TCK)))`,
    [process.pid],
  );
  return Number((await ticks.result()).stdout);
}
