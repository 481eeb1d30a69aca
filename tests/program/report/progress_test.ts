// deno-lint-ignore-file no-control-regex -- terminals are steered by them.
/** `--progress`. */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotMatch,
} from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, rawListener, receive, send } from "../../helpers/tcp.ts";

/** Runs a command on a terminal of its own, 80 columns wide. */
function onTerminal(
  command: string,
  args: readonly (string | number)[],
  env: Record<string, string> = {},
): Running {
  const quoted = args.map((arg) => `'${arg}'`).join(" ");
  const all = {
    SHELL: "/bin/bash",
    TERM: "xterm",
    LC_ALL: "C.UTF-8",
    NO_COLOR: "",
    ...env,
  };
  return run([
    "env",
    ...Object.entries(all).map(([name, value]) => `${name}=${value}`),
    "script",
    "-qec",
    `stty cols 80; set -- ${quoted}; ${command}`,
    "/dev/null",
  ]);
}

testWith(
  ["script"],
  "--progress on a terminal is one line, redrawn, that stays at the end",
  async () => {
    using folder = new Folder();
    const file = `${folder.path}/data`;
    await Deno.writeFile(file, randomBytes(300_000));
    const { server, at } = await listener();
    await using _server = server;
    await using client = onTerminal(
      'sockpipe --connect $1 --progress --limit-rate 300k < "$2"',
      [at.port, file],
    );
    assertEquals(await client.code(), 0);
    const drawings = client.stdout.text().split("\r\x1b[K").slice(1);
    assert(drawings.length >= 3, `${drawings.length} drawings`);
    assertLess(drawings.length, 60);
    const last = drawings.at(-1) ?? "";
    assertMatch(last, /^↑ +293 KiB.* 100%\r\n$/);
    assert(last.includes("\x1b[32m█"), "in color");
    for (const drawing of drawings.slice(0, -1)) {
      assertMatch(drawing, /^↑ .*\d%( {2}\d:\d\d left)?$/);
    }
  },
);

testWith(
  ["script"],
  "--progress honours NO_COLOR, and TERM=dumb gets no drawing at all",
  async () => {
    for (
      const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }, {
        NO_COLOR: "1",
        LC_ALL: "C",
      }]
    ) {
      const { server, at } = await listener();
      await using _server = server;
      await using client = onTerminal(
        "sockpipe --connect $1 --progress --receive-only",
        [at.port],
        env,
      );
      assertEquals(await client.code(), 0);
      const text = client.stdout.text();
      assertNotMatch(text, /\x1b\[\d+m/);
      if ("TERM" in env) {
        assertMatch(text, /^sockpipe: sent 0 bytes.*\r\n$/);
      } else if ("LC_ALL" in env) {
        assertMatch(text, /^\r\x1b\[Ksent +0 B[\x00-\x7f]*$/);
      } else assertMatch(text, /^\r\x1b\[K↑ +0 B/);
    }
  },
);

testWith(
  ["script"],
  "what the peer sends never stands on the line of the meter",
  async () => {
    using raw = rawListener();
    await using client = onTerminal(
      "sockpipe --connect $1 --progress < /dev/null",
      [raw.port],
    );
    using conn = await accept(raw);
    await client.stdout.match(/\r\x1b\[K↑ +0 B/);
    await send(conn, "data\n");
    await client.stdout.match(/data\r\n/);
    conn.close();
    assertEquals(await client.code(), 0);
    const [before = "", after = ""] = client.stdout.text().split("data\r\n");
    assert(before.endsWith("\r\x1b[K"), `erased before: ${before}`);
    assertMatch(after, /^sockpipe: sent 0 bytes, received 5 bytes[^\r]*\r\n$/);
  },
);

testWith(
  ["script"],
  "with --output the meter goes on while data come, as they go to the file",
  async () => {
    using folder = new Folder();
    using raw = rawListener();
    await using client = onTerminal(
      'sockpipe --connect $1 --progress --output "$2" --dump /dev/null < /dev/null',
      [raw.port, `${folder.path}/file`],
    );
    using conn = await accept(raw);
    await client.stdout.match(/\r\x1b\[K/);
    await send(conn, "data\n");
    await client.stdout.match(/\r\x1b\[K[^\r]*5 B/);
    conn.close();
    assertEquals(await client.code(), 0);
  },
);

testWith(
  ["script"],
  "an error after the meter begins a line of its own",
  async () => {
    using raw = rawListener();
    await using client = onTerminal(
      "sockpipe --connect $1 --progress --idle-timeout 300ms < /dev/null",
      [raw.port],
    );
    using _conn = await accept(raw);
    assertEquals(await client.code(), 5);
    assertMatch(
      client.stdout.text(),
      /\n(\r\x1b\[K)?sockpipe: no byte either way/,
    );
  },
);

Deno.test("--progress into a log is plain lines, the last one with all of it", async () => {
  const { server, at } = await listener(["--progress", "--size", "10"]);
  await using _server = server;
  await using client = sockpipe(["--connect", `${at.port}`], {
    stdin: "seven!!",
  });
  assertEquals(await client.code(), 0);
  const { code, stderr } = await server.result();
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /^sockpipe: listening.*\nsockpipe: sent 0 bytes, received 7 bytes.*; 70%, \S+ left\n$/,
  );
});

Deno.test("--progress counts a file that was read up to some place from there", async () => {
  using folder = new Folder();
  await Deno.writeFile(`${folder.path}/file`, randomBytes(300_000));
  const { server, at } = await listener();
  await using _server = server;
  await using client = shell(
    "{ dd bs=1000 count=100 status=none of=/dev/null; sockpipe --connect $1 --progress; } < $2",
    [at.port, `${folder.path}/file`],
  );
  const { code, stderr } = await client.result();
  assertEquals(code, 0);
  assertMatch(stderr, /^sockpipe: sent 200000 bytes.*; 100%\n$/);
});

Deno.test("--progress of a listener for many is the sum, with how many there are", async () => {
  const { server, at } = await listener(
    ["--keep-open", "--connections=3", "--progress", "--receive-only"],
  );
  await using _server = server;
  for (const message of ["one", "three", "fifteen"]) {
    await using client = sockpipe(["--connect", at.address], {
      stdin: message,
    });
    assertEquals(await client.code(), 0);
  }
  const { code, stderr } = await server.result();
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /^sockpipe: listening .*\nsockpipe: sent 0 bytes, received 15 bytes, in .*, 3 clients; .*\n$/,
  );
});

Deno.test("--progress with --json is a progress event every second", async () => {
  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `${raw.port}`, "--progress", "--json", "--size", "100"],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  await client.feed("x".repeat(25));
  await receive(conn, 25);
  const [line] = await client.said(/.*"progress".*"sent":25,.*\n/);
  const event = JSON.parse(line);
  assertEquals([event.size, event.percent], [100, 25]);
  await until(() => {
    const found = client.stderr.text().match(/"event":"progress"/g) ?? [];
    return found.length >= 2 ? true : undefined;
  }, "a second progress event");
  conn.close();
  await client.endStdin();
  await client.code();
  const last = client.stderr.text().trimEnd().split("\n").at(-1) ?? "";
  assertEquals(JSON.parse(last).event, "closed");
});
