/** The program at one end, other people's programs at the other. */

import { assertEquals } from "@std/assert";
import { randomBytes, sha256 } from "../helpers/bytes.ts";
import { SOAK, testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import { listeningPort } from "../helpers/peers.ts";
import { run, shell } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";

/** As `head -c` takes it. */
const BULK = SOAK ? { out: "1G", back: "256M" } : { out: "256M", back: "64M" };

/** How a peer is asked to do what the program does: send, half-close, wait. */
interface Peer {
  readonly program: string;
  /** Listens on a port that the system chooses. */
  readonly listen: readonly string[];
  readonly connect: (port: string) => readonly string[];
  /** Whether the listener leaves at our end, with its own stdin half sent. */
  readonly leavesAtOurEnd?: true;
}

const PEERS: readonly Peer[] = [
  {
    program: "nc.openbsd",
    listen: ["nc.openbsd", "-N", "-l", "127.0.0.1", "0"],
    connect: (port) => ["nc.openbsd", "-N", "127.0.0.1", port],
    leavesAtOurEnd: true,
  },
  {
    program: "ncat",
    listen: ["ncat", "-l", "127.0.0.1", "0"],
    connect: (port) => ["ncat", "127.0.0.1", port],
    leavesAtOurEnd: true,
  },
  {
    program: "socat",
    listen: ["socat", "-t", "60", "-", "TCP-LISTEN:0,bind=127.0.0.1"],
    connect: (port) => ["socat", "-t", "60", "-", `TCP:127.0.0.1:${port}`],
  },
];

const DATA_SIZES = [4096, 65536] as const;

/** The sizes at which a chunk more or less is read, and some between. */
function sizesFor(dataSize: number): number[] {
  const around = [dataSize - 1, dataSize, dataSize + 1];
  return dataSize === 65536
    ? [0, 1, ...around, 10_000_000]
    : [...around, 65535, 65536, 65537];
}

for (const { program, listen, connect, leavesAtOurEnd } of PEERS) {
  for (const dataSize of DATA_SIZES) {
    const args = ["--data-size", `${dataSize}`];

    for (const size of sizesFor(dataSize)) {
      const ours = randomBytes(size, 21);
      const theirs = randomBytes(size, 22);

      testWith(
        [program],
        `${size} bytes go both ways at once between us and a listening ${program}, DATA_SIZE ${dataSize}`,
        async () => {
          await using peer = run(listen, { stdin: theirs });
          const port = await listeningPort(peer);
          await using client = sockpipe(["--connect", `${port}`, ...args], {
            stdin: leavesAtOurEnd ? "piped" : ours,
          });
          if (leavesAtOurEnd) {
            await client.feed(ours);
            await client.stdout.atLeast(theirs.length);
            await client.endStdin();
          }
          assertEquals([await client.code(), await peer.code()], [0, 0]);
          assertEquals(
            await sha256(client.stdout.bytes()),
            await sha256(theirs),
          );
          assertEquals(await sha256(peer.stdout.bytes()), await sha256(ours));
        },
      );

      testWith(
        [program],
        `${size} bytes go both ways at once between us and a connecting ${program}, DATA_SIZE ${dataSize}`,
        async () => {
          const { server, at } = await listener(args, { stdin: ours });
          await using _server = server;
          await using peer = run(connect(`${at.port}`), { stdin: theirs });
          assertEquals([await server.code(), await peer.code()], [0, 0]);
          assertEquals(
            await sha256(server.stdout.bytes()),
            await sha256(theirs),
          );
          assertEquals(await sha256(peer.stdout.bytes()), await sha256(ours));
        },
      );
    }
  }

  testWith(
    [program],
    `a question to ${program} is answered after its end`,
    async () => {
      // Listening, nc.openbsd and ncat leave at our end; connecting, they answer.
      const { server, at } = await listener([], { stdin: "a question" });
      await using _server = server;
      await using peer = run(connect(`${at.port}`), { stdin: "piped" });
      await peer.stdout.atLeast(10);
      assertEquals(peer.stdout.text(), "a question");
      await peer.feed("an answer");
      await peer.endStdin();
      assertEquals([await server.code(), await peer.code()], [0, 0]);
      assertEquals(server.stdout.text(), "an answer");
    },
  );

  testWith(
    [program],
    `a ${program} that is killed while we send makes exit 1`,
    async () => {
      await using peer = run(listen, { stdin: "piped" });
      const port = await listeningPort(peer);
      await using client = sockpipe(["--connect", `${port}`], {
        stdin: new Uint8Array(64 << 20),
      });
      await peer.stdout.atLeast(1 << 20);
      peer.kill("SIGKILL");
      assertEquals(await client.code(), 1);
    },
  );
}

testWith(["socat"], "a unix socket joins us and socat", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  const theirs = randomBytes(1_000_000, 23);
  const ours = randomBytes(1_000_000, 24);
  await using server = sockpipe(["--listen", `unix:${path}`], { stdin: ours });
  await server.listening();
  await using peer = run(["socat", "-t", "60", "-", `UNIX-CONNECT:${path}`], {
    stdin: theirs,
  });
  assertEquals([await server.code(), await peer.code()], [0, 0]);
  assertEquals(await sha256(server.stdout.bytes()), await sha256(theirs));
  assertEquals(await sha256(peer.stdout.bytes()), await sha256(ours));
});

testWith(
  ["nc.openbsd"],
  `${BULK.out} go to nc.openbsd and ${BULK.back} come back at the same time, unchanged`,
  async () => {
    using folder = new Folder();
    // A length that is no multiple of any chunk, so that no two can be swapped.
    const block = (8 << 20) + 13;
    const [ours, theirs] = [`${folder.path}/ours`, `${folder.path}/theirs`];
    await Deno.writeFile(ours, randomBytes(block, 25));
    await Deno.writeFile(theirs, randomBytes(block, 26));
    const stream = (size: string) =>
      `while cat "$1"; do :; done 2>/dev/null | head -c ${size}`;
    const sumOf = async (file: string, size: string) => {
      await using sum = shell(`${stream(size)} | cksum`, [file]);
      return (await sum.result()).stdout;
    };

    await using server = shell(
      `${stream(BULK.out)} | sockpipe --listen 0 | cksum
      echo "\${PIPESTATUS[*]}"`,
      [ours],
    );
    const at = await server.listening();
    await using peer = shell(
      `${stream(BULK.back)} | nc.openbsd -N 127.0.0.1 "$2" | cksum
      echo "\${PIPESTATUS[*]}"`,
      [theirs, at.port],
    );
    assertEquals(
      [(await server.result()).stdout, (await peer.result()).stdout],
      [
        `${await sumOf(theirs, BULK.back)}0 0 0 0\n`,
        `${await sumOf(ours, BULK.out)}0 0 0 0\n`,
      ],
    );
  },
);
