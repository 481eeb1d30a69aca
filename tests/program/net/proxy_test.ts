/** `--proxy`, against real proxies and with what goes on top of it. */

import { assertEquals, assertMatch } from "@std/assert";
import { keys } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  danted,
  microsocks,
  ncatProxy,
  startServer,
  tinyproxy,
} from "../../helpers/real_proxies.ts";
import { SSHD, SshFolder } from "../../helpers/sshd.ts";
import { closedPort, rawListener } from "../../helpers/tcp.ts";

/** Words that start a program with the password of the proxies. */
const SECRET = ["env", "SOCKPIPE_PROXY_PASSWORD=secret"];

/**
 * Sends a line to a listener through a proxy, and the listener's line back. Only
 * then does either side end, since some proxies take the first end for both.
 */
async function exchange(
  url: string,
  args: readonly string[] = [],
  { listening = [], under = [] }: {
    listening?: readonly string[];
    under?: readonly string[];
  } = {},
): Promise<void> {
  const { server, at } = await listener(listening, { stdin: "piped" });
  await using _ = server;
  await using client = sockpipe(
    ["--connect", `localhost:${at.port}`, "--proxy", url, "-v", ...args],
    { stdin: "piped", under },
  );
  await server.feed("from the listener\n");
  await client.feed("from the client\n");
  await client.stdout.match(/from the listener/);
  await server.stdout.match(/from the client/);
  await client.endStdin();
  await server.endStdin();
  const { code, stderr } = await client.result();
  assertEquals([code, await server.code()], [0, 0], stderr);
  if (args.length > 0) return;
  assertMatch(stderr, /connected to (localhost|127\.0\.0\.1):\d+ from/);
}

/** What the program says when it cannot connect through the proxy. */
async function refusal(
  url: string,
  target: string,
  under: readonly string[] = [],
): Promise<string> {
  await using client = sockpipe(
    ["--connect", target, "--proxy", url, "--retries", "0"],
    { under },
  );
  const { code, stderr } = await client.result();
  assertEquals(code, 3, stderr);
  const [, target2, said = ""] =
    /^sockpipe: cannot connect to "([^"]+)": the proxy "[^"]+" (.*)\n$/
      .exec(stderr) ?? [];
  assertEquals(target2, target, stderr);
  return said;
}

testWith(
  ["danted"],
  "a SOCKS server connects, and says why it does not",
  async () => {
    await using proxy = await danted();
    const socks5h = `socks5h://127.0.0.1:${proxy.port}`;
    await exchange(socks5h);
    await exchange(`socks5://localhost:${proxy.port}`);
    const nobody = `127.0.0.1:${closedPort()}`;
    assertEquals(
      await refusal(socks5h, nobody),
      "cannot reach it: connection refused",
    );
    assertEquals(
      await refusal(socks5h, "127.0.0.9:80"),
      "does not allow this connection",
    );
    assertEquals(
      await refusal(`socks4a://127.0.0.1:${proxy.port}`, "127.0.0.9:80"),
      "refused or failed, and does not say why",
    );
  },
);

testWith(
  ["microsocks"],
  "a SOCKS server gets a user and a password",
  async () => {
    await using proxy = await microsocks();
    const at = `127.0.0.1:${proxy.port}`;
    await exchange(`socks5h://me@${at}`, [], { under: SECRET });
    const target = `127.0.0.1:${closedPort()}`;
    assertMatch(await refusal(`socks5h://${at}`, target), /^wants a user/);
    assertEquals(
      await refusal(`socks5h://you@${at}`, target, SECRET),
      "does not take this user and password",
    );
  },
);

testWith(
  ["ncat"],
  "an HTTP proxy connects, with a password from a file",
  async () => {
    using folder = new Folder();
    const file = `${folder.path}/password`;
    await Deno.writeTextFile(file, "secret\nand more that is no password\n");
    await using open = await ncatProxy();
    await exchange(`http://127.0.0.1:${open.port}`);
    await using closed = await ncatProxy("--proxy-auth", "me:secret");
    const at = `127.0.0.1:${closed.port}`;
    await exchange(`http://me@${at}`, ["--proxy-password-file", file]);
    const target = `127.0.0.1:${closedPort()}`;
    assertMatch(await refusal(`http://${at}`, target), /^wants a user/);
    assertEquals(
      await refusal(`http://you@${at}`, target, SECRET),
      "does not take this user and password",
    );
    assertMatch(
      await refusal(`http://127.0.0.1:${open.port}`, target),
      /^answered 50\d/,
    );
  },
);

testWith(
  ["tinyproxy"],
  "tinyproxy connects, and says why it does not",
  async () => {
    await using proxy = await tinyproxy();
    const url = `http://me@127.0.0.1:${proxy.port}`;
    // It gives a connection up at the first half-close, so only one side sends.
    const { server, at } = await listener([], { stdin: "hello" });
    await using _ = server;
    await using client = sockpipe(
      ["--connect", `localhost:${at.port}`, "--proxy", url, "--receive-only"],
      { under: SECRET },
    );
    assertEquals((await client.result()).stdout, "hello");
    const target = `127.0.0.1:${closedPort()}`;
    assertMatch(await refusal(url, target, SECRET), /^answered 500/);
  },
);

testWith(["nc.openbsd"], "no proxy at all is told so", async () => {
  using raw = rawListener();
  const greeting = new TextEncoder().encode("SSH-2.0-OpenSSH_9.2\r\n");
  const greet = async () => {
    using conn = await raw.accept();
    await conn.write(greeting);
  };
  const at = `127.0.0.1:${raw.port}`;
  const [, socks] = await Promise.all([
    greet(),
    refusal(`socks5h://${at}`, "a:1"),
  ]);
  assertMatch(socks, /^is no SOCKS5 proxy/);
  const [, http] = await Promise.all([greet(), refusal(`http://${at}`, "a:1")]);
  assertMatch(http, /^is no HTTP proxy/);
  await using mute = await startServer((
    port,
  ) => ["nc.openbsd", "-k", "-l", "127.0.0.1", `${port}`]);
  await using client = sockpipe(
    ["--connect", "a:1", "--proxy", `http://127.0.0.1:${mute.port}`]
      .concat(["--retries", "0", "--connect-timeout", "300ms"]),
  );
  assertEquals(await client.result(), {
    code: 5,
    stdout: "",
    stderr:
      `sockpipe: cannot connect to "a:1": no answer from the proxy "127.0.0.1:${mute.port}" within 300ms (--connect-timeout)\n`,
  });
});

testWith(
  [],
  "a proxy that is not there is tried again like a peer",
  async () => {
    const port = closedPort();
    await using client = sockpipe(
      ["--connect", "nas:1", "--proxy", `socks5h://127.0.0.1:${port}`]
        .concat(["--retries", "1", "--retry-delay", "10ms"]),
    );
    const reason =
      `the proxy "127.0.0.1:${port}" cannot be reached: connection refused`;
    assertEquals(await client.result(), {
      code: 3,
      stdout: "",
      stderr:
        `sockpipe: cannot connect to nas:1: ${reason}; next attempt in 10ms\n` +
        `sockpipe: cannot connect to "nas:1": ${reason} (2 attempts)\n`,
    });
  },
);

testWith(
  ["danted"],
  "TLS and --reliable go on top of a proxy",
  async () => {
    await using proxy = await danted();
    const url = `socks5h://127.0.0.1:${proxy.port}`;
    using folder = await keys(["server"]);
    const cert = `${folder.path}/server.crt`;
    const key = ["--tls", "--tls-cert", cert]
      .concat(["--tls-key", `${folder.path}/server.key`]);
    const trust = ["--tls", "--tls-ca", cert];
    const reliable = ["--reliable"];
    const pairs = [[key, trust], [reliable, reliable]] as const;
    for (const [listening, args] of pairs) {
      await exchange(url, args, { listening });
    }
    await exchange(url, [...trust, ...reliable], {
      listening: [...key, ...reliable],
    });
  },
);

testWith(["danted"], "--forward goes on through a proxy", async () => {
  await using proxy = await danted();
  const { server, at } = await listener([], { stdin: "down" });
  await using _ = server;
  const { server: forward, at: between } = await listener(
    ["--keep-open", "--connections", "1", "--forward", at.address]
      .concat(["--proxy", `socks5://127.0.0.1:${proxy.port}`]),
  );
  await using _forward = forward;
  await using client = sockpipe(["--connect", between.address], {
    stdin: "up",
  });
  assertEquals((await client.result()).stdout, "down");
  assertEquals((await server.result()).stdout, "up");
  assertEquals((await forward.result()).code, 0);
});

testWith(
  [SSHD, "ssh"],
  "ssh -D is a proxy, also with SOCKS4a",
  async () => {
    using folder = new SshFolder();
    const sshPort = closedPort();
    await folder.furnish(sshPort);
    await using _server = await folder.serve(sshPort);
    await using proxy = await startServer((port) =>
      ["ssh", "-F", folder.clientConfig, "-N"]
        .concat(["-D", `127.0.0.1:${port}`, "there"])
    );
    for (const protocol of ["socks5h", "socks5", "socks4a"]) {
      await exchange(`${protocol}://127.0.0.1:${proxy.port}`);
    }
  },
);

testWith(
  [SSHD, "ssh", "scp", "git", "microsocks"],
  "ssh, scp and git go through ProxyCommand, with and without a proxy",
  async () => {
    using folder = new SshFolder();
    const port = closedPort();
    await folder.furnish(port);
    await using _server = await folder.serve(port);
    await using proxy = await microsocks();
    const through = ` --proxy socks5h://me@127.0.0.1:${proxy.port}`;
    for (const option of ["", through]) {
      const command = `sockpipe --connect %h:%p --retries 0${option}`;
      await using all = folder.shell(
        `set -- -o "ProxyCommand=$2"
        rm -rf repo clone; export GIT_SSH="$PWD/git-ssh" GIT_CONFIG_GLOBAL=/dev/null
        printf '#!/bin/sh\nexec ssh -o "%s" "$@"\n' "$2" > git-ssh
        chmod +x git-ssh
        ssh "$@" there "cat $PWD/user.pub" | cmp - user.pub &&
        head -c 3000000 /dev/urandom > big &&
        scp -q "$@" big "there:$PWD/copy" && cmp big copy &&
        git init -q repo &&
        git -C repo -c user.name=a -c user.email=a commit -q --allow-empty -m first &&
        git clone -q "ssh://there$PWD/repo" clone &&
        git -C clone log --format=%s`,
        [command],
        { under: SECRET },
      );
      const { code, stdout, stderr } = await all.result();
      assertEquals([code, stdout], [0, "first\n"], stderr);
    }
  },
);
