/**
 * TLS through the real program: who is let in and who is not, ends and cuts, and
 * the peers that people have.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  certificates,
  type KeyFolder,
  keyOptions,
  keys,
} from "../../helpers/certificates.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { say, testWith } from "../../helpers/conditions.ts";
import { listeningPort } from "../../helpers/peers.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, send } from "../../helpers/tcp.ts";
import { FailingLine } from "../../helpers/proxy.ts";

/** Whether the runtime of the program can pin keys; Deno 2.4 cannot, and says so. */
const HAS_PINS = await hasPins();

async function hasPins(): Promise<boolean> {
  const pin = `--tls-pin=sha256:${"0".repeat(64)}`;
  const args = ["--connect=1", "--retries=0", "--tls", pin];
  await using tried = sockpipe(args);
  return await tried.code() !== 2;
}

/** A test of what needs pins. */
function pinTest(name: string, fn: () => Promise<void>): void {
  if (!HAS_PINS) say(`skipped, as this runtime cannot pin keys: ${name}`);
  Deno.test({ name, ignore: !HAS_PINS, fn });
}

testWith(
  ["openssl"],
  "--tls verifies by a CA and carries both directions",
  async () => {
    using folder = await certificates();
    const file = (name: string) => `${folder.path}/${name}`;
    const { server, at } = await listener(
      [
        "--tls",
        "--tls-cert",
        file("server.crt"),
        "--tls-key",
        file("server.key"),
      ],
      { stdin: "from the listener" },
    );
    await using _server = server;
    const data = randomBytes(3_000_000);
    await using client = sockpipe(
      ["--connect", at.address, "--tls", "--tls-ca", file("ca.crt")],
      { stdin: data },
    );
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(client.stdout.text(), "from the listener");
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  },
);

testWith(
  ["openssl", "/proc"],
  "what is sent after the peer has gone is no success, with TLS either",
  async () => {
    using folder = await keys(["server"]);
    const { server, at } = await listener(keyOptions(folder), {
      stdin: "piped",
    });
    await using _server = server;
    await using peer = shell(
      "openssl s_client -no_ign_eof -connect 127.0.0.1:$1",
      [`${at.port}`],
      { stdin: "question" },
    );
    await server.stdout.match(/question/);
    // It ends by a close_notify; from then on its system answers with a reset.
    await peer.code();
    await server.feed("answer").catch(() => {});
    await server.endStdin().catch(() => {});
    assertEquals(await server.code(), 1, server.stderr.text());
  },
);

testWith(
  ["openssl"],
  "--tls refuses an unknown CA and a wrong name, and leaks no byte",
  async () => {
    using folder = await certificates();
    const file = (name: string) => `${folder.path}/${name}`;
    const { server, at } = await listener(
      [
        "--tls",
        "--tls-cert",
        file("server.crt"),
        "--tls-key",
        file("server.key"),
      ],
      { stdin: "secret" },
    );
    await using _server = server;
    for (
      const [args, reason] of [
        [[], "a CA that is not trusted here"],
        [
          ["--tls-ca", file("ca.crt"), "--tls-name", "example.com"],
          "but for localhost",
        ],
      ] as const
    ) {
      await using client = sockpipe(
        ["--connect", at.address, "--tls", ...args],
        { stdin: "ours" },
      );
      assertEquals(await client.code(), 7);
      assertStringIncludes(client.stderr.text(), reason);
      assertEquals(client.stdout.text(), "");
    }
    assertEquals(server.stdout.text(), "");
  },
);

pinTest(
  "a mute and a plain client of a TLS listener neither block nor kill it",
  async () => {
    const { server, at } = await listener(["--tls", "--tls-self-signed"]);
    await using _server = server;
    using _mute = await dial(at.port);
    using plain = await dial(at.port);
    await send(plain, "GET / HTTP/1.0\r\n\r\n");
    await server.said(/refused .*: it does not speak TLS/);
    const [pin] = await server.said(/sha256:[0-9a-f]{64}/);
    await using client = sockpipe(
      ["--connect", at.address, "--tls", "--tls-pin", pin],
      { stdin: "pinned" },
    );
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(server.stdout.text(), "pinned");
  },
);

pinTest("--tls-pin refuses another key and names both pins", async () => {
  const { server, at } = await listener(["--tls", "--tls-self-signed"]);
  await using _server = server;
  const other = `sha256:${"0".repeat(64)}`;
  await using client = sockpipe(
    ["--connect", at.address, "--tls", "--tls-pin", other],
    { stdin: "ours" },
  );
  assertEquals(await client.code(), 7);
  const [pin] = await server.said(/sha256:[0-9a-f]{64}/);
  assertStringIncludes(client.stderr.text(), pin);
  assertStringIncludes(client.stderr.text(), other);
  assertEquals(server.stdout.text(), "");
});

const DAY_MS = 86_400_000;

/** Both of Deno's ways to be a client: its own TLS, and that of `node:tls`. */
function clientOptions(
  folder: KeyFolder,
): [string, string[]][] {
  return [
    ["--tls-ca", ["--tls", `--tls-ca=${folder.path}/server.crt`]],
    ...HAS_PINS
      ? [["--tls-pin", ["--tls", `--tls-pin=${folder.pins[0]}`]]] as [
        string,
        string[],
      ][]
      : [],
  ];
}

Deno.test("with TLS either side may end first", async () => {
  using folder = await keys(["server"]);
  for (const [way, options] of clientOptions(folder)) {
    for (const first of ["listener", "client"]) {
      const { server, at } = await listener([
        ...keyOptions(folder),
        "--verbose",
      ], { stdin: "piped" });
      await using _server = server;
      await using client = sockpipe(
        ["--connect", at.address, ...options, "--verbose"],
        { stdin: "piped" },
      );
      const [one, other] = first === "client"
        ? [client, server]
        : [server, client];
      await one.feed("first");
      await one.endStdin();
      await other.said(/the peer has ended/);
      await other.feed("second");
      await other.endStdin();
      assertEquals(await client.code(), 0, `${way} ${client.stderr.text()}`);
      assertEquals(await server.code(), 0, `${way} ${server.stderr.text()}`);
      assertEquals(other.stdout.text(), "first");
      assertEquals(one.stdout.text(), "second");
    }
  }
});

pinTest("TLS carries much both ways, also into small reads", async () => {
  using folder = await keys(["server", "client"]);
  const [up, down] = [randomBytes(6_000_000, 2), randomBytes(5_000_000, 3)];
  const clientKey = keyOptions(folder, "client").slice(1);
  const cases = [
    ...clientOptions(folder),
    ["--tls-client-pin", [
      "--tls",
      `--tls-ca=${folder.path}/server.crt`,
      ...clientKey,
    ]],
  ] as const;
  for (const [way, options] of cases) {
    const asks = way === "--tls-client-pin"
      ? [`--tls-client-pin=${folder.pins[1]}`]
      : [];
    const { server, at } = await listener(
      [...keyOptions(folder), ...asks, "--data-size=1000"],
      { stdin: down },
    );
    await using _server = server;
    await using client = sockpipe(
      ["--connect", at.address, ...options],
      { stdin: up },
    );
    assertEquals(await client.code(), 0, `${way} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${way} ${server.stderr.text()}`);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(up), way);
    assertEquals(await sha256(client.stdout.bytes()), await sha256(down), way);
  }
});

Deno.test("an end of TCP without TLS's is no end, on either side", async () => {
  using folder = await keys(["server"]);
  for (const [way, options] of clientOptions(folder)) {
    for (const from of ["listen", "connect"] as const) {
      const { server, at } = await listener(keyOptions(folder), {
        stdin: from === "listen" ? randomBytes(300_000) : "piped",
      });
      await using _server = server;
      await using line = new FailingLine(
        at.port,
        () => ({ kind: "end", after: 100_000, from }),
      );
      await using client = sockpipe(
        ["--connect", `localhost:${line.port}`, ...options],
        { stdin: from === "connect" ? randomBytes(300_000) : "piped" },
      );
      const [cut, other] = from === "listen"
        ? [client, server]
        : [server, client];
      const what = `${way} ${from} ${cut.stderr.text()}`;
      assertEquals(await cut.code(), 1, what);
      assertStringIncludes(cut.stderr.text(), "without the close_notify", what);
      assertEquals(await other.code(), 1, what);
    }
  }
});

for (
  const [what, days, reason] of [
    ["has expired", -1000, "its certificate expired on"],
    ["is not valid yet", 10, "its certificate is not valid before"],
  ] as const
) {
  pinTest(`a certificate that ${what} is refused, but for a pin`, async () => {
    using folder = await keys(["server"], new Date(Date.now() + days * DAY_MS));
    const { server, at } = await listener(keyOptions(folder), {
      stdin: "secret",
    });
    await using _server = server;
    const [[, byCa], [, byPin]] = clientOptions(folder) as [
      [string, string[]],
      [string, string[]],
    ];
    await using refusing = sockpipe(["--connect", at.address, ...byCa], {
      stdin: "ours",
    });
    assertEquals(await refusing.code(), 7);
    assertStringIncludes(refusing.stderr.text(), reason);
    assertEquals(refusing.stdout.text(), "");
    assertEquals(server.stdout.text(), "");
    await using pinning = sockpipe(["--connect", at.address, ...byPin], {
      stdin: "pinned",
    });
    assertEquals(await pinning.code(), 0, pinning.stderr.text());
    assertEquals(await server.code(), 0);
    assertEquals(server.stdout.text(), "pinned");
  });
}

pinTest("--tls-client-pin lets in the right client alone", async () => {
  using folder = await keys(["server", "client", "stranger"]);
  const asks = `--tls-client-pin=${folder.pins[1]}`;
  const { server, at } = await listener([...keyOptions(folder), asks], {
    stdin: "secret",
  });
  await using _server = server;
  const trust = `--tls-ca=${folder.path}/server.crt`;
  const connect = (key: string[]) =>
    sockpipe(["--connect", at.address, "--tls", trust, ...key], {
      stdin: "ours",
    });
  for (const key of [[], keyOptions(folder, "stranger").slice(1)]) {
    await using client = connect(key);
    // A TLS 1.3 client learns that it is refused only after its handshake.
    assert([1, 7].includes(await client.code()), client.stderr.text());
    assertEquals(client.stdout.text(), "");
    await server.said(/refused .*certificate|refused .*its key has the pin/);
  }
  assertEquals(server.stdout.text(), "");
  await using client = connect(keyOptions(folder, "client").slice(1));
  assertEquals(await client.code(), 0, client.stderr.text());
  assertEquals(client.stdout.text(), "secret");
  assertEquals(await server.code(), 0);
  assertEquals(server.stdout.text(), "ours");
});

pinTest(
  "--tls-insecure lets in anybody and says so, even when quiet",
  async () => {
    const { server, at } = await listener(["--tls", "--tls-self-signed"]);
    await using _server = server;
    await using client = sockpipe(
      ["--connect", at.address, "--tls", "--tls-insecure", "--quiet"],
      { stdin: "ours" },
    );
    assertEquals(await client.code(), 0);
    assertStringIncludes(client.stderr.text(), "is not verified");
    assertEquals(await server.code(), 0);
    assertEquals(server.stdout.text(), "ours");
  },
);

Deno.test("a server without TLS is said to be one, and is sent nothing", async () => {
  using folder = await keys(["server"]);
  for (const [way, options] of clientOptions(folder)) {
    const { server, at } = await listener([], { stdin: "hello, I am plain\n" });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...options], {
      stdin: "secret",
    });
    assertEquals(await client.code(), 7, way);
    assertStringIncludes(client.stderr.text(), "does not speak TLS");
    assertEquals(client.stdout.text(), "");
    await server.code();
    assert(!server.stdout.text().includes("secret"), way);
  }
});

Deno.test("a server that is mute has --connect-timeout for its handshake", async () => {
  using folder = await keys(["server"]);
  for (const [way, options] of clientOptions(folder)) {
    using raw = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using client = sockpipe([
      "--connect",
      `localhost:${raw.addr.port}`,
      ...options,
      "--connect-timeout=300ms",
    ]);
    using _mute = await raw.accept();
    assertEquals(await client.code(), 5, `${way} ${client.stderr.text()}`);
    assertStringIncludes(client.stderr.text(), "longer than 300ms");
  }
});

Deno.test("--keep-open serves many over TLS, beside those that fail", async () => {
  using folder = await keys(["server"]);
  const { server, at } = await listener([
    ...keyOptions(folder),
    "--keep-open",
    "--connections=4",
    "--receive-only",
  ]);
  await using _server = server;
  using _mute = await dial(at.port);
  using plain = await dial(at.port);
  await send(plain, "GET / HTTP/1.0\r\n\r\n");
  const ways = clientOptions(folder);
  const clients = Array.from({ length: 4 }, (_, index) => {
    const [, options = []] = ways[index % ways.length] ?? [];
    return sockpipe(["--connect", at.address, ...options], {
      stdin: "1234\n",
    });
  });
  for (const client of clients) {
    await using _client = client;
    assertEquals(await client.code(), 0, client.stderr.text());
  }
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(server.stdout.text(), "1234\n".repeat(4));
});

Deno.test("--reliable over TLS survives cuts of a handshake, and silence", async () => {
  using folder = await keys(["server"]);
  for (const [way, options] of clientOptions(folder)) {
    const { server, at } = await listener(
      [...keyOptions(folder), "--reliable"],
      { stdin: "ours" },
    );
    await using _server = server;
    // The first handshake; and those of resuming, after a break in the stream.
    const amid = [
      { kind: "reset", after: 100 },
      { kind: "end", after: 100 },
      { kind: "end", after: 10_000 },
      { kind: "reset", after: 100 },
      { kind: "end", after: 100 },
      { kind: "silence", after: 100 },
      { kind: "silence", after: 10_000 },
    ] as const;
    await using line = new FailingLine(
      at.port,
      (connection) => amid[connection] ?? { kind: "none" },
    );
    await using client = sockpipe([
      `--connect=localhost:${line.port}`,
      ...options,
      "--reliable",
      "--retry-delay=20ms",
      "--connect-timeout=500ms",
      "--heartbeat=500ms",
    ], { stdin: randomBytes(100_000) });
    assertEquals(await client.code(), 0, `${way} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${way} ${server.stderr.text()}`);
    assertEquals(client.stdout.text(), "ours");
    assertEquals(server.stdout.length, 100_000);
    assertEquals(line.incidents, amid.length);
  }
});

Deno.test("--reliable over TLS survives cuts", async () => {
  using folder = await keys(["server"]);
  const data = randomBytes(4_000_000, 5);
  for (const [way, options] of clientOptions(folder)) {
    const { server, at } = await listener(
      [...keyOptions(folder), "--reliable"],
    );
    await using _server = server;
    await using line = new FailingLine(
      at.port,
      (connection) =>
        connection < 2
          ? { kind: connection === 0 ? "reset" : "end", after: 900_000 }
          : { kind: "none" },
    );
    await using client = sockpipe([
      "--connect",
      `localhost:${line.port}`,
      ...options,
      "--reliable",
      "--retry-delay=20ms",
    ], { stdin: data });
    assertEquals(await client.code(), 0, `${way} ${client.stderr.text()}`);
    assertEquals(await server.code(), 0, `${way} ${server.stderr.text()}`);
    assertEquals(line.incidents, 2);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  }
});

/** A peer of another make, as listener or client, with certificate files. */
interface Foreign {
  readonly name: string;
  readonly program: string;
  /** Sends stdin, and what it receives goes to stdout; $1 port, $2 folder. */
  readonly connect: string;
  readonly listen: string;
}

const FOREIGN: readonly Foreign[] = [
  {
    name: "openssl",
    program: "openssl",
    connect:
      "openssl s_client -quiet -no_ign_eof -verify_return_error -CAfile $2/server.crt -connect localhost:$1 2>/dev/null",
    listen:
      "exec openssl s_server -quiet -naccept 1 -accept 127.0.0.1:0 -cert $2/server.crt -key $2/server.key",
  },
  {
    name: "ncat",
    program: "ncat",
    connect: "ncat --ssl-verify --ssl-trustfile $2/server.crt localhost $1",
    listen:
      "exec ncat -l 127.0.0.1 0 --ssl --ssl-cert $2/server.crt --ssl-key $2/server.key",
  },
  {
    name: "socat",
    program: "socat",
    connect: "socat - OPENSSL:localhost:$1,cafile=$2/server.crt",
    listen:
      "exec socat - OPENSSL-LISTEN:0,bind=127.0.0.1,cert=$2/server.crt,key=$2/server.key,verify=0",
  },
];

for (const { name, program, connect, listen } of FOREIGN) {
  testWith([program], `TLS from ${name} to a listener`, async () => {
    using folder = await keys(["server"]);
    // Digits, as openssl takes a Q or R at the start of a line for a command.
    const data = randomBytes(500_000, 7).map((byte) => 48 + byte % 10);
    const { server, at } = await listener([
      ...keyOptions(folder),
      "--receive-only",
    ]);
    await using _server = server;
    await Deno.writeFile(`${folder.path}/data`, data);
    await using client = shell(`${connect} < $2/data`, [at.port, folder.path]);
    await client.code();
    // ncat ends TCP without the close_notify of TLS, as one who cuts does.
    const code = name === "ncat" ? 1 : 0;
    assertEquals(await server.code(), code, server.stderr.text());
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  });

  testWith([program], `TLS to ${name} as a listener`, async () => {
    using folder = await keys(["server"]);
    const data = randomBytes(500_000, 9);
    for (const [way, options] of clientOptions(folder)) {
      await using server: Running = shell(listen, ["", folder.path], {
        stdin: "piped",
      });
      const port = await listeningPort(server);
      await using client = sockpipe(
        ["--connect", `localhost:${port}`, ...options, "--send-only"],
        { stdin: data },
      );
      await server.stdout.atLeast(data.length);
      await server.endStdin();
      await client.code();
      assertEquals(
        await sha256(server.stdout.bytes()),
        await sha256(data),
        way,
      );
    }
  });
}

testWith(["openssl"], "versions of TLS before 1.2 are refused", async () => {
  using folder = await keys(["server"]);
  const { server, at } = await listener(keyOptions(folder), {
    stdin: "for others only",
  });
  await using _server = server;
  const old = "openssl s_client -connect localhost:$1 -cipher ALL:@SECLEVEL=0";
  for (const version of ["-tls1", "-tls1_1"]) {
    await using client = shell(`${old} ${version} </dev/null`, [at.port]);
    await client.code();
    assert(!client.stdout.text().includes("for others"));
  }
  await server.said(/refused .*\n[^]*refused .*TLS 1\.2 or 1\.3/);
  await using client = shell(
    "openssl s_client -connect localhost:$1 -brief -tls1_2 </dev/null 2>&1",
    [at.port],
  );
  await client.stdout.match(/TLSv1\.2/);
});

testWith(
  ["openssl"],
  "an HTTPS server is asked as the README does it",
  async () => {
    using folder = await keys(["server"]);
    await using server = shell(
      "exec openssl s_server -www -accept 127.0.0.1:0 -cert $1/server.crt -key $1/server.key",
      [folder.path],
    );
    const port = await listeningPort(server);
    await using client = shell(
      "printf 'GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' | sockpipe --connect localhost:$1 --tls --tls-ca $2/server.crt",
      [port, folder.path],
    );
    assertEquals(await client.code(), 0, client.stderr.text());
    assertStringIncludes(client.stdout.text(), "HTTP/1.0 200 ok");
  },
);
