/**
 * --limit-rate, --dump and --progress with all that a connection can be and be
 * joined with: the rate holds, the record has every byte, and the totals are right.
 */

import {
  assertEquals,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { certificates } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, type Running } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

const DATA = randomBytes(200_000, 5);
const BYTES_PER_SECOND = 400_000;
/** How long it takes at least; a quarter of a second's worth may go at once. */
const LEAST_MS = (DATA.length / BYTES_PER_SECOND) * 1000 - 250;

/** Both sides of a transfer of DATA, which the listener receives. */
interface Case {
  readonly name: string;
  readonly listen?: readonly string[];
  readonly connect?: readonly string[];
  readonly needs?: readonly string[];
  /** The address to listen on, when it is not a TCP port. */
  readonly at?: (folder: string) => string;
}

const CASES: readonly Case[] = [
  { name: "plain TCP" },
  { name: "a unix socket", at: (folder) => `unix:${folder}/socket` },
  { name: "--reliable", listen: ["--reliable"], connect: ["--reliable"] },
  {
    name: "--keep-open",
    listen: ["--keep-open", "--connections", "1", "--receive-only"],
  },
  {
    name: "--tls",
    listen: ["--tls", "--tls-cert", "server.crt", "--tls-key", "server.key"],
    connect: ["--tls", "--tls-ca", "ca.crt"],
    needs: ["openssl"],
  },
  {
    name: "--tls --keep-open",
    listen: [
      "--tls",
      "--tls-cert=server.crt",
      "--tls-key=server.key",
      "--keep-open",
      "--connections=1",
      "--receive-only",
    ],
    connect: ["--tls", "--tls-ca", "ca.crt"],
    needs: ["openssl"],
  },
];

for (const { name, listen = [], connect = [], needs = [], at } of CASES) {
  for (const limited of ["listener", "connecting side"] as const) {
    for (const engine of name === "plain TCP" ? ["off", "on"] : ["on"]) {
      const title =
        `rate, record and progress of the ${limited}: ${name}, engine ${engine}`;
      testWith(needs, title, async () => {
        using folder = needs.length > 0 ? await certificates() : new Folder();
        const record = `${folder.path}/record`;
        const three = [
          `--limit-rate=${BYTES_PER_SECOND}`,
          `--dump=${record}`,
          "--progress",
        ];
        const start = (args: readonly string[], stdin?: Uint8Array) =>
          run(
            [
              "env",
              "-C",
              folder.path,
              `SOCKPIPE_ENGINE=${engine}`,
              "sockpipe",
              ...args,
            ],
            stdin === undefined ? {} : { stdin },
          );
        const onListener = limited === "listener";
        await using server = start([
          "--listen",
          at?.(folder.path) ?? "0",
          ...listen,
          ...onListener ? three : [],
        ]);
        const { address } = await server.listening();
        const startedAt = performance.now();
        await using client = start([
          "--connect",
          address,
          ...connect,
          ...onListener ? [] : three,
        ], DATA);
        assertEquals(await client.code(), 0, client.stderr.text());
        assertEquals(await server.code(), 0, server.stderr.text());
        assertGreater(performance.now() - startedAt, LEAST_MS);
        assertEquals(
          await sha256(server.stdout.bytes()),
          await sha256(DATA),
        );
        const isNumbered = name.includes("reliable") ||
          name.includes("keep-open");
        const mark = (onListener ? "<" : ">") +
          (onListener && isNumbered || name.includes("reliable") ? " #1" : "");
        const recorded = bytesIn(await Deno.readTextFile(record), mark);
        if (name === "--reliable") {
          // Frames, of which the data is the greater part by far.
          assertGreater(recorded.length, DATA.length);
          assertLess(recorded.length, DATA.length * 1.01);
        } else {
          assertEquals(await sha256(recorded), await sha256(DATA));
        }
        const teller = onListener ? server : client;
        const word = onListener ? "received" : "sent";
        await teller.said(new RegExp(`${word} ${DATA.length} bytes, .*\n`));
      });
    }
  }
}

/** The bytes of one direction of one connection, taken out of the record again. */
function bytesIn(record: string, start: string): Uint8Array<ArrayBuffer> {
  const lines = record.split("\n").filter((line) =>
    line.startsWith(`${start} `) && line.endsWith("|")
  );
  const place = start.length + 11;
  return Uint8Array.from(
    lines.flatMap((line) => line.slice(place, place + 49).trim().split(/ +/)),
    (hex) => Number.parseInt(hex, 16),
  );
}

/** Who joins the connection with something else, and what that gives to it. */
const JOINED = [
  ["--serve", (folder: string) => `${folder}/data`],
  ["--exec", (folder: string) => `cat ${folder}/data`],
  ["--forward", (_: string, port: number) => `${port}`],
] as const;

for (const [option, value] of JOINED) {
  for (const keepOpen of [[], ["--keep-open", "--connections=1"]]) {
    const title = `rate, record and progress of ${option} ${keepOpen[0] ?? ""}`;
    Deno.test(title, async () => {
      using folder = new Folder();
      await Deno.writeFile(`${folder.path}/data`, DATA);
      const source = await listener(["--send-only"], { stdin: DATA });
      await using _source = source.server;
      const record = `${folder.path}/record`;
      const { server, at } = await listener([
        option,
        value(folder.path, source.at.port),
        ...keepOpen,
        `--limit-rate=${BYTES_PER_SECOND}`,
        `--dump=${record}`,
        "--progress",
      ]);
      await using _server = server;
      const startedAt = performance.now();
      await using client = sockpipe(["--connect", at.address], {});
      assertEquals(await client.code(), 0, client.stderr.text());
      assertEquals(await server.code(), 0, server.stderr.text());
      assertGreater(performance.now() - startedAt, LEAST_MS);
      assertEquals(await sha256(client.stdout.bytes()), await sha256(DATA));
      const mark = keepOpen.length > 0 ? "> #1" : ">";
      const recorded = bytesIn(await Deno.readTextFile(record), mark);
      assertEquals(await sha256(recorded), await sha256(DATA));
      await server.said(new RegExp(`sent ${DATA.length} bytes, .*\n`));
      if (option === "--serve" && keepOpen.length === 0) {
        await server.said(/; 100%\n/);
      }
    });
  }
}

Deno.test("--broker with all three: each client has its rate and its number", async () => {
  using folder = new Folder();
  const record = `${folder.path}/record`;
  const { server, at } = await listener([
    "--broker",
    "--connections=2",
    `--limit-rate=${BYTES_PER_SECOND}`,
    `--dump=${record}`,
    "--progress",
    "--verbose",
  ]);
  await using _server = server;
  await using hearing = sockpipe(["--connect", at.address], { stdin: "piped" });
  await server.said(/connected to/);
  await using saying = sockpipe(["--connect", at.address], { stdin: DATA });
  const startedAt = performance.now();
  await hearing.stdout.atLeast(DATA.length);
  assertGreater(performance.now() - startedAt, LEAST_MS);
  await hearing.endStdin();
  const codes = [
    await hearing.code(),
    await saying.code(),
    await server.code(),
  ];
  assertEquals(codes, [0, 0, 0], server.stderr.text());
  assertEquals(await sha256(hearing.stdout.bytes()), await sha256(DATA));
  const text = await Deno.readTextFile(record);
  for (const mark of ["> #1", "< #2"]) {
    assertEquals(await sha256(bytesIn(text, mark)), await sha256(DATA), mark);
  }
  const [first, second] = [
    ...text.matchAll(/^= (#\d) \S+Z connected to (\S+)$/gm),
  ]
    .map(([, number, peer]) => [number, peer]);
  assertEquals([first?.[0], second?.[0]], ["#1", "#2"]);
  const said = server.stderr.text();
  for (const peer of [first?.[1], second?.[1]]) {
    assertStringIncludes(said, `connected to ${peer} `);
  }
  const total = `sent ${DATA.length} bytes, received ${DATA.length} bytes, in`;
  await server.said(new RegExp(`${total} .*, 2 clients; .*\n`));
});

/** Starts a run whose record is on a disk that is full after some kilobytes. */
function onSmallDisk(folder: Folder, args: readonly string[]): Running {
  return run([
    "unshare",
    "-rm",
    "bash",
    "-c",
    'mount -t tmpfs -o size=64k none "$1" && shift && exec sockpipe "$@"',
    "bash",
    folder.path,
    ...args,
    `--dump=${folder.path}/record`,
  ]);
}

for (const mode of [[], ["--keep-open"], ["--reliable"]]) {
  testWith(
    ["unshare"],
    `a record on a full disk ends the run, exit 8 ${mode.join(" ")}`,
    async () => {
      using folder = new Folder();
      const args = ["--listen", "0", "--receive-only", ...mode];
      await using server = onSmallDisk(folder, args);
      const { address } = await server.listening();
      // The record cannot hold what the peer would be told.
      const both = mode.includes("--reliable")
        ? [...mode, "--resume-timeout=500ms", "--retry-delay=100ms"]
        : [];
      await using client = sockpipe(["--connect", address, ...both], {
        stdin: DATA,
      });
      assertEquals(await server.code(), 8, server.stderr.text());
      await server.said(/cannot write to --dump ".*": no space left on device/);
      assertNotEquals(await client.code(), 0);
    },
  );
}

for (const mode of [[], ["--keep-open"], ["--reliable"]]) {
  const title = `SIGINT ends a pause of --limit-rate ${mode.join(" ")}`;
  Deno.test(title, async () => {
    const reliable = mode.includes("--reliable");
    const { server, at } = await listener(mode);
    await using _server = server;
    // At 1 byte a second, the prefaces of --reliable would take a minute.
    const rate = reliable ? 100 : 1;
    await using client = sockpipe([
      "--connect",
      at.address,
      `--limit-rate=${rate}`,
      // In pieces of which the first is there soon, and the last one far off.
      ...reliable ? [...mode, "--data-size=10"] : [],
    ], { stdin: "x".repeat(1000) });
    await server.stdout.atLeast(1);
    const askedAt = performance.now();
    client.kill("SIGINT");
    assertEquals(await client.code(), 130);
    // With --reliable, the peer is told, for which there is a second.
    assertLess(performance.now() - askedAt, reliable ? 2000 : 600);
  });
}
