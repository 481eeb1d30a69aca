/** `--source`: where connections come from. */

import { assertEquals, assertMatch } from "@std/assert";
import { keys } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  rawListener,
  receiveText,
  send,
} from "../../helpers/tcp.ts";

/** Connects with the arguments, and tells from where it came. */
async function origin(
  args: readonly string[],
  under: readonly string[] = [],
): Promise<Deno.NetAddr> {
  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `127.0.0.1:${raw.port}`, ...args],
    { stdin: "ping", under },
  );
  using conn = await accept(raw);
  assertEquals(await receiveText(conn, 4), "ping");
  await send(conn, "pong");
  await conn.closeWrite();
  const { code, stdout, stderr } = await client.result();
  assertEquals([code, stdout, stderr], [0, "pong", ""]);
  return conn.remoteAddr;
}

testWith(
  ["/proc"],
  "--source is where the peer sees us come from",
  async () => {
    assertEquals(
      (await origin(["--source", "127.0.0.7"])).hostname,
      "127.0.0.7",
    );
    const port = closedPort();
    const both = await origin(["--source", `127.0.0.8:${port}`]);
    assertEquals([both.hostname, both.port], ["127.0.0.8", port]);
    // At once again, though the last connection from that port is hardly over.
    assertEquals((await origin(["--source", `:${port}`])).port, port);
  },
);

testWith(
  ["/proc"],
  "--source moves megabytes both ways, and waits for a peer that is not there yet",
  async () => {
    const port = closedPort();
    const data = "x".repeat(3_000_000);
    await using client = sockpipe(
      ["--connect", `127.0.0.1:${port}`, "--source", "127.0.0.7"]
        .concat(["--retry-delay", "100ms", "-v"]),
      { stdin: data },
    );
    await client.said(/connection refused; next attempt/);
    await using server = sockpipe(["--listen", `${port}`], { stdin: data });
    const { code, stdout, stderr } = await client.result();
    assertEquals([code, stdout.length], [0, data.length], stderr);
    assertEquals((await server.result()).stdout.length, data.length);
    assertMatch(
      stderr,
      new RegExp(`connected to 127.0.0.1:${port} from 127.0.0.7:`),
    );
  },
);

testWith(
  ["/proc"],
  "exit 3 for an address that is not ours, 5 where nobody answers in time",
  async () => {
    const target = ["--connect", `127.0.0.1:${closedPort()}`, "--retries", "0"];
    await using foreign = sockpipe([...target, "--source", "192.0.2.200"]);
    assertEquals((await foreign.result()).code, 3);
    assertMatch(
      foreign.stderr.text(),
      /cannot come from "192\.0\.2\.200" \(--source\): this machine has no such address/,
    );
  },
);

testWith(
  ["/proc"],
  "--source goes with TLS, --reliable, --forward and a proxy",
  async () => {
    using folder = await keys(["server"]);
    const cert = `${folder.path}/server.crt`;
    const key = ["--tls", "--tls-cert", cert]
      .concat(["--tls-key", `${folder.path}/server.key`]);
    const trust = ["--tls", "--tls-ca", cert];
    for (
      const [ours, theirs] of [
        [key, trust],
        [["--reliable"], ["--reliable"]],
        [[...key, "--reliable"], [...trust, "--reliable"]],
      ] as const
    ) {
      const { server, at } = await listener([...ours, "-v"], { stdin: "down" });
      await using _ = server;
      await using client = sockpipe(
        ["--connect", at.address, "--source", "127.0.0.7", ...theirs],
        { stdin: "up" },
      );
      const { code, stdout, stderr } = await client.result();
      assertEquals([code, stdout], [0, "down"], stderr);
      const result = await server.result();
      assertEquals(result.stdout, "up");
      assertMatch(result.stderr, /127\.0\.0\.7:\d+/);
    }
  },
);

testWith(
  ["/proc"],
  "--forward with --source goes on from there, for many clients",
  async () => {
    using raw = rawListener();
    const { server, at } = await listener(
      ["--keep-open", "--connections", "20", "--source", "127.0.0.7"]
        .concat(["--forward", `127.0.0.1:${raw.port}`]),
    );
    await using _ = server;
    const seen = (async () => {
      const origins = new Set<string>();
      for (let count = 0; count < 20; count++) {
        using conn = await accept(raw);
        origins.add(conn.remoteAddr.hostname);
        await send(conn, await receiveText(conn));
        await conn.closeWrite();
      }
      return [...origins];
    })();
    await Promise.all(Array.from({ length: 20 }, async (_, index) => {
      await using client = sockpipe(["--connect", at.address], {
        stdin: `${index}`,
      });
      assertEquals((await client.result()).stdout, `${index}`);
    }));
    assertEquals(await seen, ["127.0.0.7"]);
    assertEquals(await server.code(), 0);
  },
);

testWith(
  ["/proc"],
  "with a proxy, --source is where the proxy sees us come from",
  async () => {
    using proxy = rawListener();
    await using client = sockpipe(
      ["--connect", "nas:9", "--retries", "0", "--source", "127.0.0.7"]
        .concat(["--proxy", `socks5h://127.0.0.1:${proxy.port}`]),
    );
    const conn = await accept(proxy);
    assertEquals(conn.remoteAddr.hostname, "127.0.0.7");
    conn.close();
    assertEquals(await client.code(), 3);
  },
);
