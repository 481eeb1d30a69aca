/** TLS through the real program: who is let in and who is not. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { certificates, keyOptions, keys } from "../../helpers/certificates.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, send } from "../../helpers/tcp.ts";
import { clientOptions, pinTest } from "../../helpers/tls_clients.ts";

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
  const { server, at } = await listener(["-v", ...keyOptions(folder), asks], {
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
  assertMatch(server.stderr.text(), /TLS 1\.3 with 127\.0\.0\.1:\d+\n/);
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
  for (const [kind, options] of clientOptions(folder)) {
    const { server, at } = await listener([], { stdin: "hello, I am plain\n" });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...options], {
      stdin: "secret",
    });
    assertEquals(await client.code(), 7, kind);
    assertStringIncludes(client.stderr.text(), "does not speak TLS");
    assertEquals(client.stdout.text(), "");
    await server.code();
    assert(!server.stdout.text().includes("secret"), kind);
  }
});

Deno.test("a server that is mute has --connect-timeout for its handshake", async () => {
  using folder = await keys(["server"]);
  for (const [kind, options] of clientOptions(folder)) {
    using raw = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using client = sockpipe([
      "--connect",
      `localhost:${raw.addr.port}`,
      ...options,
      "--connect-timeout=300ms",
    ]);
    using _mute = await raw.accept();
    assertEquals(await client.code(), 5, `${kind} ${client.stderr.text()}`);
    assertStringIncludes(client.stderr.text(), "longer than 300ms");
  }
});
