/** `--listen systemd`, readiness, and started by inetd or by `Accept=yes`. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { keys } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { until, within } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, type Running } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";
import { closedPort } from "../../helpers/tcp.ts";

const ACTIVATE = "systemd-socket-activate";

/** Has the program started with sockets, at the first connection to one of them. */
async function activated(
  sockets: readonly string[],
  args: readonly string[],
  options: readonly string[] = [],
): Promise<Running> {
  const process = run([
    ACTIVATE,
    ...["PATH", "SOCKPIPE_COMMAND"].flatMap((name) => ["-E", name]),
    ...options,
    ...sockets.flatMap((socket) => ["-l", socket]),
    "sockpipe",
    ...args,
  ]);
  await process.said(/Listening on .*\n/);
  return process;
}

/** Sends a line to an address, and tells what comes back. */
async function answer(
  address: string,
  line: string,
  args: readonly string[] = [],
): Promise<string> {
  await using client = sockpipe(
    ["--connect", address, "--retries", "5", "--retry-delay", "100ms", ...args],
    { stdin: line },
  );
  const { code, stdout, stderr } = await client.result();
  assertEquals(code, 0, stderr);
  return stdout;
}

testWith(
  [ACTIVATE],
  "--listen systemd takes the socket that is passed on, for one peer",
  async () => {
    const port = closedPort();
    await using server = await activated([`127.0.0.1:${port}`], [
      "--listen",
      "systemd",
      "--message",
      "hello",
    ]);
    assertEquals(await answer(`127.0.0.1:${port}`, "hi"), "hello");
    const { code, stdout, stderr } = await server.result();
    assertEquals([code, stdout], [0, "hi"], stderr);
    assertMatch(
      stderr,
      new RegExp(`sockpipe: listening on 127.0.0.1:${port}\n`),
    );
  },
);

testWith(
  [ACTIVATE],
  "with --keep-open it takes several, TCP of both families and unix",
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    const ports = [closedPort(), closedPort()];
    const addresses = [`127.0.0.1:${ports[0]}`, `[::1]:${ports[1]}`];
    await using server = await activated(
      [...addresses, path],
      ["--listen", "systemd", "--keep-open", "--connections", "30", "-v"]
        .concat(["--exec", "cat; env | grep -c ^LISTEN_ || true"]),
    );
    const all = [...addresses, `unix:${path}`];
    // The first starts it; then all come at once.
    assertEquals(await answer(addresses[0] ?? "", "0"), "00\n");
    await Promise.all(Array.from({ length: 29 }, async (_, index) => {
      const address = all[index % all.length] ?? "";
      // None of what systemd said to us reaches the command.
      assertEquals(await answer(address, `${index}`), `${index}0\n`);
    }));
    const { code, stderr } = await server.result();
    assertEquals(code, 0, stderr);
    for (const address of all) {
      assert(stderr.includes(`listening on ${address}`), stderr);
    }
    // The socket is systemd's, and stays.
    assertEquals(folder.names(), ["socket"]);
  },
);

testWith(
  [ACTIVATE],
  "--listen systemd goes with --allow, TLS, --reliable and --forward",
  async () => {
    using folder = await keys(["server"]);
    const cert = `${folder.path}/server.crt`;
    const key = ["--tls", "--tls-cert", cert]
      .concat(["--tls-key", `${folder.path}/server.key`]);
    const trust = ["--tls", "--tls-ca", cert];
    for (
      const [ours, theirs] of [
        [["--allow", "127.0.0.1"], []],
        [key, trust],
        [["--reliable"], ["--reliable"]],
      ] as const
    ) {
      const port = closedPort();
      await using server = await activated(
        [`127.0.0.1:${port}`],
        ["--listen", "systemd", "--message", "hello", ...ours],
      );
      assertEquals(await answer(`localhost:${port}`, "hi", theirs), "hello");
      assertEquals((await server.result()).stdout, "hi");
    }
    await using target = sockpipe(["--listen", "0", "--message", "far"]);
    const { address } = await target.listening();
    const port = closedPort();
    await using server = await activated(
      [`127.0.0.1:${port}`],
      ["--listen", "systemd", "-k", "--forward", address]
        .concat(["--exit-when-idle", "200ms"]),
    );
    assertEquals(await answer(`127.0.0.1:${port}`, "hi"), "far");
    assertEquals(await server.code(), 0);
  },
);

testWith(
  [ACTIVATE],
  "Accept=yes hands the connection over as stdin and stdout",
  async () => {
    await using target = sockpipe(["--listen", "0", "--message", "far"]);
    const { address } = await target.listening();
    const port = closedPort();
    await using server = await activated(
      [`127.0.0.1:${port}`],
      ["-q", "--connect", address],
      ["--accept", "--inetd"],
    );
    assertEquals(await answer(`127.0.0.1:${port}`, "hi"), "far");
    assertEquals((await target.result()).stdout, "hi");
    server.kill("SIGTERM");
  },
);

testWith(
  ["/proc"],
  "exit 4 and a reason where no socket is passed on",
  async () => {
    for (
      const [variables, reason] of [
        [[], /no socket was passed on to this process/],
        [["LISTEN_FDS=1", "LISTEN_PID=1"], /no socket was passed on/],
      ] as const
    ) {
      await using server = sockpipe(["--listen", "systemd"], {
        under: ["env", ...variables],
      });
      const { code, stderr } = await server.result();
      assertEquals(code, 4);
      assertMatch(stderr, /^sockpipe: cannot listen on "systemd": .*\n$/);
      assertMatch(stderr, reason);
    }
    await using server = run([
      "sh",
      "-c",
      "LISTEN_FDS=1 LISTEN_PID=$$ exec sockpipe --listen systemd 3< /dev/null",
    ]);
    assertEquals(await server.result(), {
      code: 4,
      stdout: "",
      stderr:
        'sockpipe: cannot listen on "systemd": descriptor 3 is no listening stream socket: the socket unit wants ListenStream= and Accept=no\n',
    });
  },
);

testWith(
  ["/proc", "socat"],
  "NOTIFY_SOCKET is told when a listener listens, and when a client is connected",
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/notify`;
    for (const name of [path, `@sockpipe-${crypto.randomUUID()}`]) {
      const manager = name.startsWith("@")
        ? `ABSTRACT-RECVFROM:${name.slice(1)}`
        : `UNIX-RECVFROM:${name}`;
      await using told = run(["socat", "-u", manager, "STDOUT"]);
      await until(async () => {
        const sockets = await Deno.readTextFile("/proc/net/unix");
        return sockets.includes(name) || undefined;
      }, "the manager's socket");
      await using server = sockpipe(
        ["--listen", "0", "-k", "--exec", "echo ${NOTIFY_SOCKET-none}"],
        { under: ["env", `NOTIFY_SOCKET=${name}`] },
      );
      const { address } = await server.listening();
      await told.stdout.match(/^READY=1$/);
      assertEquals(await answer(address, ""), "none\n");
    }
    await using told = run(["socat", "-u", `UNIX-RECVFROM:${path}2`, "STDOUT"]);
    await until(
      () => folder.names().includes("notify2") || undefined,
      "a socket",
    );
    await using server = sockpipe(["--listen", "0"], { stdin: "piped" });
    const { address } = await server.listening();
    await using _client = sockpipe(["--connect", address], {
      stdin: "piped",
      under: ["env", `NOTIFY_SOCKET=${path}2`],
    });
    await within(told.stdout.match(/^READY=1$/), "READY=1");
  },
);
