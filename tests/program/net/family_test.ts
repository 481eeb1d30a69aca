/** `--ipv4` and `--ipv6`: addresses of one family alone. */

import { assertEquals, assertMatch } from "@std/assert";
import { keys } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { sockpipe } from "../../helpers/program.ts";
import { closedPort } from "../../helpers/tcp.ts";

/** The exit code and the words of a client. */
async function connect(address: string, args: readonly string[] = []) {
  await using client = sockpipe(
    ["--connect", address, "--retries", "0", "--message", "hi", ...args],
  );
  return await client.result();
}

testWith(
  ["/proc"],
  "every interface of one family: the other has the port to itself",
  async () => {
    await using six = sockpipe(["--listen", ":0", "--ipv6"]);
    const { address, port } = await six.listening();
    assertEquals(address, `[::]:${port}`);
    await using four = sockpipe(["--listen", `:${port}`, "--ipv4"]);
    assertEquals((await four.listening()).address, `0.0.0.0:${port}`);
    assertEquals((await connect(`127.0.0.1:${port}`)).code, 0);
    assertEquals((await four.result()).stdout, "hi");
    const refused = await connect(`127.0.0.1:${port}`);
    assertMatch(refused.stderr, /connection refused/);
    assertEquals((await connect(`[::1]:${port}`)).code, 0);
    assertEquals((await six.result()).stdout, "hi");
  },
);

testWith(
  ["/proc"],
  "--ipv6 on every interface goes with TLS, --keep-open and --reuse-port",
  async () => {
    using folder = await keys(["server"]);
    const cert = `${folder.path}/server.crt`;
    const port = closedPort();
    const args = ["--listen", `:${port}`, "-6", "--reuse-port", "--keep-open"]
      .concat(["--tls", "--tls-cert", cert])
      .concat(["--tls-key", `${folder.path}/server.key`]);
    await using one = sockpipe([...args, "--connections", "1"]);
    await one.listening();
    await using two = sockpipe([...args, "--connections", "1"]);
    await two.listening();
    const trust = ["--tls", "--tls-ca", cert, "--tls-name", "localhost"];
    const { code, stderr } = await connect(`[::1]:${port}`, trust);
    assertEquals(code, 0, stderr);
    // The system chooses which of the two gets it.
    const served = await Promise.any([one.code(), two.code()]);
    assertEquals(served, 0);
  },
);

testWith(["/proc"], "exit 4 where the port of --ipv6 is taken", async () => {
  await using first = sockpipe(["--listen", ":0", "--ipv6"]);
  const { port } = await first.listening();
  await using second = sockpipe(["--listen", `:${port}`, "--ipv6"]);
  assertEquals(await second.result(), {
    code: 4,
    stdout: "",
    stderr:
      `sockpipe: cannot listen on "*:${port}": in use by another listener\n`,
  });
});
