/**
 * sockpipe on another system, SOCKPIPE_OTHER, and on this one: what `task arm64` and
 * `task wine` run. Where a system cannot do something, or the emulator does it
 * wrong, docs/platforms.md says so, and the test is skipped there by name.
 */

import { delay } from "@std/async/delay";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { say } from "../helpers/conditions.ts";
import { until, within } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";
import {
  run,
  type Running,
  shell,
  type StartOptions,
} from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import { FailingLine } from "../helpers/proxy.ts";
import { dial, receiveText, send } from "../helpers/tcp.ts";
import {
  assertExchanges,
  isWindows,
  MEGABYTES,
  OTHER,
  other,
  PAIRS,
  type Start,
  testUnless,
} from "../helpers/other_system.ts";

Deno.test("the other system starts, and says which version it is", async () => {
  const startedAt = performance.now();
  await using started = other(["--version"]);
  const { code, stdout, stderr } = await started.result();
  const ms = Math.round(performance.now() - startedAt);
  say(`  ${stdout.trim()}, in ${ms} ms`);
  assertMatch(stdout, /^sockpipe \d/);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

for (const [name, listening, connecting] of PAIRS) {
  Deno.test(`${name}: 4 MB both ways`, async () => {
    await assertExchanges(listening, connecting, [], []);
  });

  Deno.test(`${name}: 4 MB both ways with --reliable, over a line that is cut twice`, async () => {
    await assertExchanges(
      listening,
      connecting,
      ["--reliable"],
      ["--reliable", "--retry-delay=100ms"],
      (port) =>
        new FailingLine(
          port,
          (count) =>
            count < 2 ? { kind: "reset", after: 2_000_000 } : { kind: "none" },
        ),
    );
  });

  Deno.test(`${name}: 4 MB both ways with TLS and a pin`, async () => {
    await using server = listening(
      ["--listen=0", "--tls", "--tls-self-signed"],
      { stdin: MEGABYTES },
    );
    const [, pin = ""] = await server.said(/--tls-pin[ =](sha256:\w+)/);
    const { address } = await server.listening();
    await using client = connecting(
      ["--connect", address, "--tls", `--tls-pin=${pin}`],
      { stdin: MEGABYTES },
    );
    for (const side of [client, server]) {
      assertEquals(await side.code(), 0, side.stderr.text());
      assertEquals(side.stdout.bytes().length, MEGABYTES.length);
    }
  });

  Deno.test(`${name}: a message, and its answer`, async () => {
    await using server = listening(["--listen=0", "--message=answer"]);
    const { address } = await server.listening();
    await using client = connecting([
      "--connect",
      address,
      "--message=question",
    ]);
    assertEquals(await client.result(), {
      code: 0,
      stdout: "answer",
      stderr: "",
    });
    assertEquals(await server.code(), 0);
    assertEquals(server.stdout.text(), "question");
  });
}

Deno.test("exit codes: usage, connect, listen, time limit", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const cases = [
    [2, "--frobnicate"],
    [3, "--connect=1", "--retries=0"],
    [4, `--listen=${port}`],
    [5, "--listen=0", "--accept-timeout=100ms"],
  ] as const;
  for (const [code, ...args] of cases) {
    await using failing = other(args);
    assertEquals(await failing.code(), code, failing.stderr.text());
    const [line = ""] = failing.stderr.text().trim().split("\n").slice(-1);
    assert(!/[.] *$/.test(line), line);
    if (code === 3) assertMatch(line, /: connection refused$/);
  }
});

Deno.test("a listener on every interface takes IPv4 and IPv6", async () => {
  await using server = other(
    ["--listen=:0", "--keep-open", "--receive-only", "--connections=2"],
  );
  const { port } = await server.listening();
  for (const hostname of ["127.0.0.1", "[::1]"]) {
    await using client = sockpipe(
      [`--connect=${hostname}:${port}`, "--retries=0", "--message=x"],
    );
    assertEquals(
      await client.code(),
      0,
      `${hostname}: ${client.stderr.text()}`,
    );
  }
  assertEquals(await server.code(), 0);
  assertEquals(server.stdout.text(), "xx");
});

Deno.test("clients that reset at once do not end a listener", async () => {
  await using server = other(["--listen=0", "--keep-open", "--lines"]);
  const { port, address } = await server.listening();
  await using resetting = run([
    "python3",
    "-c",
    `import socket, struct, sys
for _ in range(50):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()`,
    `${port}`,
  ]);
  assertEquals(await resetting.code(), 0, resetting.stderr.text());
  await using _client = sockpipe(["--connect", address, "--message=whole\n"]);
  await server.stdout.match(/^whole$/m).catch((cause) => {
    throw new Error(server.stderr.text(), { cause });
  });
});

Deno.test("--exec starts a command for each client, and passes quotes on", async () => {
  const command = isWindows ? 'echo "a b" c' : 'printf "%s\\n" "a b" c';
  const expected = isWindows ? /^"a b" c\r\n$/ : /^a b\nc\n$/;
  await using server = other([
    "--listen=0",
    "--keep-open",
    "--connections=2",
    "--exec",
    command,
  ]);
  const { address } = await server.listening();
  for (let client = 0; client < 2; client++) {
    await using asking = sockpipe(["--connect", address]);
    assertMatch((await asking.result()).stdout, expected);
  }
  assertEquals(await server.code(), 0, server.stderr.text());
});

Deno.test("the reader of stdout goes: 141", async () => {
  await using server = listenerThatSends();
  const { address } = await server.listening();
  await using client = run([
    "bash",
    "-c",
    '"$0" --connect "$1" </dev/null | head -c 1000 >/dev/null; exit ${PIPESTATUS[0]}',
    OTHER,
    address,
  ]);
  assertEquals(await client.code(), 141, client.stderr.text());
});

/** A listener here that sends for ever. */
function listenerThatSends(): Running {
  return shell("exec sockpipe --listen 0 </dev/zero");
}

testUnless(isWindows, "stdout ends as soon as the peer has", async () => {
  await using server = sockpipe(["--listen=0", "--message=all"]);
  const { address } = await server.listening();
  await using client = other(["--connect", address], { stdin: "piped" });
  await within(client.stdout.ended, "the end of stdout");
  assertEquals(client.stdout.text(), "all");
  await client.endStdin();
  assertEquals(await client.code(), 0);
});

testUnless(isWindows, "a signal ends it, with its exit code", async () => {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    await using server = other(["--listen=0"]);
    await server.listening();
    server.kill(signal);
    assertEquals(await server.code(), code);
  }
});

Deno.test("a sender that is killed leaves a receiver that says so", async () => {
  // Of a process that is killed while it sends, wine's server sometimes keeps the
  // socket: then nobody learns anything. What must never be is a 0.
  const attempts = isWindows ? 5 : 1;
  for (let attempt = 1;; attempt++) {
    try {
      assertEquals(await receiverOfKilled(isWindows ? 10_000 : undefined), 1);
      return;
    } catch (error) {
      const isSilent = error instanceof Error && /in vain/.test(error.message);
      if (!isSilent || attempt === attempts) throw error;
    }
  }
});

/** The exit code of a receiver here whose sender on the other system is killed. */
async function receiverOfKilled(limitMs?: number): Promise<number> {
  const { server, at } = await listener(["--receive-only"]);
  await using receiver = server;
  await using sender = run(
    ["bash", "-c", 'exec "$0" --connect "$1" </dev/zero', OTHER, at.address],
  );
  await until(() => receiver.stdout.length > 10_000_000 || undefined, "bytes");
  await delay(300); // a connection is guarded from its first tenth of a second on
  sender.kill("SIGKILL");
  return await receiver.code(limitMs);
}

Deno.test("a sender that gives up leaves a receiver that says so", async () => {
  for (const tls of [false, true]) {
    const args = tls ? ["--tls", "--tls-self-signed"] : [];
    await using receiver = sockpipe(["--listen=0", "--receive-only", ...args]);
    const { address } = await receiver.listening();
    const pin = tls
      ? (await receiver.said(/--tls-pin[ =](sha256:\w+)/))[1]
      : "";
    await using sender = other(
      ["--connect", address, "--idle-timeout=1s"].concat(
        tls ? ["--tls", `--tls-pin=${pin}`] : [],
      ),
      { stdin: "piped" },
    );
    await sender.feed("some");
    assertEquals(await sender.code(), 5, sender.stderr.text());
    assertEquals(await receiver.code(), 1, receiver.stderr.text());
    assertEquals(receiver.stdout.text(), "some");
  }
});

/** For what a listener for many gives a client up, and what it has to send. */
const GIVEN_UP: readonly (readonly [string, string[], StartOptions])[] = [
  ["is silent", ["--idle-timeout=1s"], { stdin: "piped" }],
  ["may not connect", ["--deny=127.0.0.1"], { stdin: "piped" }],
  ["takes too little", ["--slow-client=disconnect", "--queue=64k"], {
    redirect: "</dev/zero",
  }],
];

for (const [why, options, sending] of GIVEN_UP) {
  for (const tls of [false, true]) {
    const name = `a client that ${why} sees no end${tls ? ", with TLS" : ""}`;
    Deno.test(name, async () => {
      const secured = tls ? ["--tls", "--tls-self-signed"] : [];
      await using server = other(
        ["--listen=0", "--keep-open", ...options, ...secured],
        sending,
      );
      const { address } = await server.listening();
      const pinned = tls ? ["--tls", `--tls-pin=${await pinOf(server)}`] : [];
      const started = Array.from({ length: 5 }, () =>
        sockpipe(
          ["--connect", address, "--receive-only", "--retries=0", ...pinned],
          { heldStdout: true },
        ));
      if (why === "takes too little") {
        await server.said(/(queue was full[^]*){5}/);
      }
      for (const client of started) {
        await using _ = client;
        client.stdout.release();
        const code = await client.code();
        assert(code !== 0, client.stderr.text());
      }
    });
  }
}

async function pinOf(server: Running): Promise<string> {
  const [, pin = ""] = await server.said(/--tls-pin[ =](sha256:\w+)/);
  return pin;
}

Deno.test("--reliable tells a killed sender from one that has ended", async () => {
  const { server, at } = await listener([
    "--receive-only",
    "--reliable",
    "--resume-timeout=2s",
  ]);
  await using receiver = server;
  await using sender = run([
    "bash",
    "-c",
    'exec "$0" --connect "$1" --reliable </dev/zero',
    OTHER,
    at.address,
  ]);
  await until(() => receiver.stdout.length > 1_000_000 || undefined, "bytes");
  sender.kill("SIGKILL");
  assertEquals(await receiver.code(), 5, receiver.stderr.text());
});

Deno.test("a token in a file lets in who knows it", async () => {
  using folder = new Folder();
  const path = `${folder.path}/token`;
  await Deno.writeTextFile(path, "0123456789abcdef0123456789abcdef", {
    mode: 0o600,
  });
  await using server = other([
    "--listen=0",
    "--reliable",
    "--tls",
    "--tls-self-signed",
    `--token-file=${path}`,
    "--message=for you",
  ]);
  const [, pin = ""] = await server.said(/--tls-pin[ =](sha256:\w+)/);
  const { address } = await server.listening();
  const args = [
    "--connect",
    address,
    "--reliable",
    "--tls",
    `--tls-pin=${pin}`,
  ];
  await using client = sockpipe([...args, `--token-file=${path}`]);
  assertEquals((await client.result()).stdout, "for you");
  assertEquals(await server.code(), 0);
});

Deno.test("one secret lets both sides know each other", async () => {
  using folder = new Folder();
  const path = `${folder.path}/secret`;
  await using making = sockpipe([`--new-secret=${path}`]);
  assertEquals(await making.code(), 0, making.stderr.text());
  const roles: readonly [Start, Start][] = [[other, sockpipe], [
    sockpipe,
    other,
  ]];
  for (const [listening, connecting] of roles) {
    await using server = listening([
      "--listen=0",
      `--secret-file=${path}`,
      "--message=for you",
    ]);
    const { address } = await server.listening();
    await using client = connecting(
      ["--connect", address, `--secret-file=${path}`],
    );
    assertEquals((await client.result()).stdout, "for you");
    assertEquals(await server.code(), 0, server.stderr.text());
  }
});

testUnless(
  isWindows,
  "a listener for many keeps no descriptor of a client that has gone",
  async () => {
    await using server = other(["--listen=0", "--keep-open", "--lines"]);
    const { port } = await server.listening();
    const visit = async () => {
      using conn = await dial(port);
      await send(conn, "hello\n");
      await conn.closeWrite();
      assertEquals(await receiveText(conn), "");
    };
    await visit();
    const before = server.descriptors();
    for (let round = 0; round < 30; round++) await visit();
    await until(
      () => server.descriptors() <= before || undefined,
      `${before} descriptors as before`,
    );
    await within(server.stdout.match(/(hello\n){31}/), "all lines");
  },
);
