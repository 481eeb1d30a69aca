/** Exit codes of a run that found no peer: 3, and 5 for a time limit. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Folder } from "../../helpers/folder.ts";
import { blackHole } from "../../helpers/peers.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  send,
} from "../../helpers/tcp.ts";
import { assertFails } from "../../helpers/failures.ts";

Deno.test("exit 3 when the connection is refused and no attempt is left", async () => {
  const port = closedPort();
  await using client = sockpipe(["--connect", `${port}`, "--retries", "0"]);
  await assertFails(
    client,
    3,
    RegExp(`annot connect to "?127.0.0.1:${port}"?: .*refused`),
  );
  assertEquals(client.stdout.length, 0);
  assertEquals(client.stderr.text().split("\n").length, 2);
});

Deno.test("exit 3 when the retries are used up, after one line for each pause", async () => {
  const port = closedPort();
  await using client = sockpipe(
    ["--connect", `${port}`, "--retries", "3", "--retry-delay", "20ms"],
  );
  await assertFails(client, 3, /refused/);
  const retry =
    `sockpipe: cannot connect to 127.0.0.1:${port}: connection refused; next attempt in 20ms\n`;
  assert(
    client.stderr.text().startsWith(retry.repeat(3)),
    client.stderr.text(),
  );
  assertEquals(client.stderr.text().split("\n").length, 5);
});

Deno.test("exit 3 at once for a name that does not exist, with no further attempt", async () => {
  await using client = sockpipe(["--connect", "no-such-host.invalid:80"]);
  await assertFails(client, 3, /"?no-such-host\.invalid(:80)?"?/);
  assert(!client.stderr.text().includes("next attempt"));
});

Deno.test("exit 3 when the unix socket is not there and no attempt is left", async () => {
  using folder = new Folder();
  const path = `${folder.path}/none`;
  await using client = sockpipe(
    ["--connect", `unix:${path}`, "--retries", "0"],
  );
  await assertFails(client, 3, RegExp(path));
});

Deno.test("exit 3 for --probe when nobody is there", async () => {
  await using probe = sockpipe(
    ["--connect", `${closedPort()}`, "--probe", "--retries", "0"],
  );
  await assertFails(probe, 3, /refused/);
});

Deno.test("exit 5 when nobody came within --accept-timeout", async () => {
  await using server = sockpipe(
    ["--listen", "0", "--accept-timeout", "300ms"],
  );
  await assertFails(server, 5, /300ms/);
  assertMatch(server.stderr.text(), /nobody|no peer|accept/i);
});

Deno.test("exit 5 when no byte passed for --idle-timeout, on either side", async () => {
  const { server, at } = await listener(
    ["--idle-timeout", "400ms"],
    { stdin: "piped" },
  );
  await using _server = server;
  using conn = await dial(at.port);
  await send(conn, "a");
  await assertFails(server, 5, /400ms/);
  assertMatch(server.stderr.text(), /idle|no byte|nothing/i);

  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `${raw.port}`, "--idle-timeout", "400ms"],
    { stdin: "piped" },
  );
  using _conn = await accept(raw);
  await assertFails(client, 5, /400ms/);
});

Deno.test("exit 5 when --retry-timeout is over", async () => {
  await using client = sockpipe(
    ["--connect", `${closedPort()}`, "--retry-delay", "100ms"].concat(
      ["--retry-timeout", "500ms"],
    ),
  );
  await assertFails(client, 5, /500ms/);
  assertMatch(client.stderr.text(), /next attempt in 100ms/);
});

Deno.test("exit 5 when --retry-timeout ends within a long pause", async () => {
  await using client = sockpipe(
    ["--connect", `${closedPort()}`, "--retry-delay", "1h"].concat(
      ["--retry-timeout", "500ms"],
    ),
  );
  await assertFails(client, 5, /500ms/);
});

Deno.test("exit 5 when --connect-timeout is over and no attempt is left", async () => {
  await using hole = await blackHole();
  await using client = sockpipe(
    ["--connect", `${hole.port}`, "--connect-timeout", "300ms"].concat(
      ["--retries", "1", "--retry-delay", "20ms"],
    ),
  );
  await assertFails(client, 5, /300ms|timed out/);
  assertMatch(
    client.stderr.text(),
    /^sockpipe: cannot connect to 127\.0\.0\.1:\d+: [^\n]*; next attempt in 20ms\n/,
  );
  assertEquals(client.stderr.text().split("\n").length, 3);
});
