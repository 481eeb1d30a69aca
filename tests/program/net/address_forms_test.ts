/** Every form of ADDRESS, from what is typed to what is announced and reached. */

import { assertEquals } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { shell } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";
import { accept, rawListener, receiveText } from "../../helpers/tcp.ts";

testWith(
  ["/proc"],
  "unix:@NAME is a name of the abstract namespace and makes no file",
  async () => {
    const name = `sockpipe-${crypto.randomUUID()}`;
    if (!await canUseNames()) return;
    await using server = sockpipe(["--listen", `unix:@${name}`]);
    assertEquals((await server.listening()).address, `unix:@${name}`);
    await using second = sockpipe(["--listen", `unix:@${name}`]);
    const taken = await second.result();
    assertEquals(taken.code, 4);
    assertEquals(
      taken.stderr,
      `sockpipe: cannot listen on "unix:@${name}": in use by another listener\n`,
    );
    await using client = sockpipe(["--connect", `unix:@${name}`], {
      stdin: "hello",
    });
    assertEquals((await client.result()).code, 0);
    assertEquals(await server.result(), {
      code: 0,
      stdout: "hello",
      stderr: `sockpipe: listening on unix:@${name}\n`,
    });
    await using nobody = sockpipe(
      ["--connect", `unix:@${name}`, "--retries", "0"],
    );
    const { code, stderr } = await nobody.result();
    assertEquals(code, 3);
    assertEquals(
      stderr,
      `sockpipe: cannot connect to "unix:@${name}": connection refused\n`,
    );
  },
);

testWith(
  ["ip", "unshare"],
  "a zone is announced, and reached as it was announced",
  async () => {
    await using both = shell(
      `ip link set lo up && ip address add fe80::7/64 dev lo nodad || exit 99
      mkfifo said
      sockpipe --listen '[fe80::7%lo]:0' > got 2> said & server=$!
      read -r _ _ _ address _ < said
      sockpipe --connect "$address" --message zone || exit
      wait $server && echo "$address $(cat got)"`,
      [],
      { under: ["unshare", "-rn", ...inNewFolder()] },
    );
    const { code, stdout, stderr } = await both.result();
    assertEquals([code, stderr], [0, ""]);
    assertEquals(
      stdout.replace(/:\d+ /, ":PORT "),
      "[fe80::7%lo]:PORT zone\n",
    );
  },
);

/** Whether this program can use the abstract namespace: not before Deno 2.9. */
async function canUseNames(): Promise<boolean> {
  await using tried = sockpipe(["--connect=unix:@none", "--retries=0"]);
  const { code, stderr } = await tried.result();
  assertEquals(code, 3);
  return !/use Deno 2\.9 or newer/.test(stderr);
}

/** Words that run those behind them in a folder of their own. */
function inNewFolder(): string[] {
  const script = 'cd "$(mktemp -d)" && "$@"; code=$?; rm -r "$PWD"; exit $code';
  return ["sh", "-c", script, "sh"];
}

testWith(
  ["/etc/services"],
  "a port may be the name of a service",
  async () => {
    await using client = sockpipe(
      ["--connect", "127.0.0.1:tcpmux", "--retries", "0"],
    );
    const { code, stderr } = await client.result();
    assertEquals(code, 3);
    assertEquals(
      stderr,
      'sockpipe: cannot connect to "127.0.0.1:1": connection refused\n',
    );
  },
);

testWith([], "a mapped IPv4 address is reached as such", async () => {
  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `[::ffff:127.0.0.1]:${raw.port}`, "--message", "mapped"],
  );
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "mapped");
  await conn.closeWrite();
  assertEquals((await client.result()).code, 0);
});
