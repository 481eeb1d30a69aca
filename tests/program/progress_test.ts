// deno-lint-ignore-file no-control-regex -- terminals are steered by them.
/** The meter: what a line looks like, and what a terminal and a log get to see. */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotMatch,
} from "@std/assert";
import { Gauge, Meter } from "../../lib/report/meter.ts";
import { formatClock, renderMeter } from "../../lib/report/meter_line.ts";
import { Reporter } from "../../lib/report/reporter.ts";
import { randomBytes } from "../helpers/bytes.ts";
import { testWith } from "../helpers/conditions.ts";
import { until } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";
import { run, type Running, shell } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import { accept, rawListener, receive, send } from "../helpers/tcp.ts";

const HALFWAY = {
  sent: 1_300_000_000,
  received: 0,
  connectedMs: 3456,
  sentRate: 342 * 2 ** 20,
  receivedRate: 0,
  size: 2_600_000_000,
  percent: 50,
  etaMs: 3456,
};
const PLAIN = { color: false, unicode: true };

Deno.test("renderMeter() leaves out what matters less when the window is narrow", () => {
  const lines = [10, 20, 40, 60, 80, 200].map((columns) =>
    renderMeter(HALFWAY, { ...PLAIN, columns })
  );
  assertEquals(lines, [
    "↑ 1.21 Gi",
    "↑ 1.21 GiB   50%",
    "↑ 1.21 GiB   342 MiB/s   50%  0:04 left",
    "↑ 1.21 GiB   342 MiB/s  0:03  ██████░░░░░░   50%  0:04 left",
    "↑ 1.21 GiB   342 MiB/s  avg  359 MiB/s  0:03  ████████░░░░░░░░   50%  0:04 left",
    "↑ 1.21 GiB   342 MiB/s  avg  359 MiB/s  0:03  ████████████████████░░░░░░░░░░░░░░░░░░░░   50%  0:04 left",
  ]);
});

Deno.test("renderMeter() says it in ASCII where nothing else can be shown", () => {
  const look = { columns: 70, color: false, unicode: false };
  assertEquals(
    renderMeter(HALFWAY, look),
    "sent 1.21 GiB   342 MiB/s  0:03  #########----------   50%  0:04 left",
  );
  assertEquals(
    renderMeter({ ...HALFWAY, received: 17, receivedRate: 3 }, {
      ...look,
      columns: 90,
    }),
    "sent 1.21 GiB   342 MiB/s  received     17 B       3 B/s  0:03  ####----   50%  0:04 left",
  );
});

Deno.test("renderMeter() counts the clients of a listener, while there is room", () => {
  const progress = {
    sent: 0,
    received: 3_000_000,
    connectedMs: 61_000,
    sentRate: 0,
    receivedRate: 50_000,
    clients: 7,
    connected: 3,
  };
  const lines = [80, 50, 39, 25].map((columns) =>
    renderMeter(progress, { ...PLAIN, columns })
  );
  assertEquals(lines, [
    "↓ 2.86 MiB  48.8 KiB/s  avg 48.0 KiB/s  1:01  3 clients",
    "↓ 2.86 MiB  48.8 KiB/s  1:01  3 clients",
    "↓ 2.86 MiB  48.8 KiB/s  3 clients",
    "↓ 2.86 MiB  48.8 KiB/s",
  ]);
  const alone = { ...progress, connected: 0 };
  assertEquals(
    renderMeter(alone, { ...PLAIN, columns: 50 }),
    "↓ 2.86 MiB  48.8 KiB/s  1:01  7 clients so far",
  );
});

Deno.test("the line of a meter is erased in as many rows as a narrowed window made of it", () => {
  let columns = 80;
  let drawn = "";
  const report = new Reporter("normal", (text) => drawn += text);
  report.follow(() => ({ sent: 5, received: 0, connectedMs: 1000 }));
  {
    using meter = new Meter(report, {
      kind: "live",
      size: { bytes: 10, of: "sent" },
      sharesTerminal: false,
      look: () => ({ ...PLAIN, columns }),
      draw: report.writeRaw,
    });
    assertEquals(drawn.length, "\r\x1b[K".length + 79);
    columns = 30;
    drawn = "";
    meter.hide();
    assertEquals(drawn, "\r\x1b[K" + "\x1b[A\x1b[K".repeat(2));
    meter.hide();
    assertEquals(drawn, "\r\x1b[K" + "\x1b[A\x1b[K".repeat(2));
    drawn = "";
  }
  assertEquals(drawn, "\r\x1b[K↑      5 B   50%  0:01 left\n");
});

Deno.test("a meter draws 10 times a second, writes every 5 s, and is an event each second", () => {
  const waits: unknown[] = [];
  const { setInterval } = globalThis;
  globalThis.setInterval = new Proxy(setInterval, {
    apply: (_, __, [, ms]) => void waits.push(ms),
  });
  try {
    for (const kind of ["live", "plain", "events"] as const) {
      using _meter = new Meter(new Reporter("normal", () => {}), {
        kind,
        size: undefined,
        sharesTerminal: false,
        look: () => ({ ...PLAIN, columns: 80 }),
        draw: () => {},
      });
    }
  } finally {
    globalThis.setInterval = setInterval;
  }
  assertEquals(waits, [100, 5000, 1000]);
});

Deno.test("a meter shows nothing before there is anything to follow", () => {
  let drawn = "";
  const report = new Reporter("normal", (text) => drawn += text);
  for (const kind of ["live", "plain", "events"] as const) {
    using _meter = new Meter(report, {
      kind,
      size: undefined,
      sharesTerminal: false,
      look: () => ({ ...PLAIN, columns: 80 }),
      draw: report.writeRaw,
    });
  }
  assertEquals(drawn, "");
});

Deno.test("renderMeter() is shorter than any window, also in color, both ways", () => {
  for (let columns = 1; columns <= 250; columns++) {
    for (const received of [0, 5, 5e9]) {
      for (const percent of [0, 0.4, 99.9, 100]) {
        const progress = { ...HALFWAY, received, percent };
        const plain = renderMeter(progress, { ...PLAIN, columns });
        assertLess(plain.length, columns);
        const colored = renderMeter(progress, {
          columns,
          color: true,
          unicode: true,
        });
        assertEquals(colored.replaceAll(/\x1b\[\d+m/g, ""), plain);
      }
    }
  }
});

Deno.test("Gauge takes the rate of the last second and the time left of all", () => {
  const gauge = new Gauge({ bytes: 4000, of: "sent" }, 0);
  const at = (ms: number, sent: number, received = 0) =>
    gauge.measure({ sent, received, connectedMs: ms }, ms);
  assertEquals(at(0, 0), {
    sent: 0,
    received: 0,
    connectedMs: 0,
    sentRate: 0,
    receivedRate: 0,
    size: 4000,
    percent: 0,
  });
  assertEquals(at(500, 100).sentRate, 200);
  assertEquals(at(1000, 1000).sentRate, 1000);
  // From 500 ms on, when it was 100.
  const later = at(1500, 2100, 9000);
  assertEquals([later.sentRate, later.receivedRate], [2000, 9000]);
  assertEquals([later.percent, later.etaMs], [52.5, 1900 * 1500 / 2100]);
  const over = at(3000, 5000);
  assertEquals([over.percent, over.etaMs], [100, 0]);
});

Deno.test("Gauge with --size counts the larger direction; 0 bytes are 100 %", () => {
  const totals = { sent: 1, received: 500, connectedMs: 1000 };
  const larger = new Gauge({ bytes: 1000, of: "larger" }, 0);
  assertEquals(larger.measure(totals, 1000).percent, 50);
  const empty = new Gauge({ bytes: 0, of: "sent" }, 0);
  assertEquals(empty.measure(totals, 1000).percent, 100);
});

Deno.test("formatClock() reads as a clock does", () => {
  assertEquals(
    [0, 5999, 754_000, 3_723_000, 360_000_000].map(formatClock),
    ["0:00", "0:05", "12:34", "1:02:03", "100:00:00"],
  );
});

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

for (
  const [args, reason] of [
    [["--size", "5"], /--size belongs to --progress/],
    [["--progress", "--quiet"], /--quiet and --progress exclude each other/],
    [["--progress", "--size", "0"], /out of range/],
  ] as const
) {
  Deno.test(`${args.join(" ")} is a usage error`, async () => {
    await using wrong = sockpipe(["--listen", "0", ...args]);
    const { code, stderr } = await wrong.result();
    assertEquals(code, 2);
    assertMatch(stderr, reason);
  });
}
