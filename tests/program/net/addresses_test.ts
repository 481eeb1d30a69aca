/** Addresses: what is announced can be reached, and no more than that. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { say } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, closedPort, receiveText } from "../../helpers/tcp.ts";
import { assertTalk } from "../../helpers/talk.ts";

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
