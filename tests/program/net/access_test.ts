/** `--allow` and `--deny`. */

import { assert, assertEquals } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { run, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, receive } from "../../helpers/tcp.ts";

testWith(
  ["socat"],
  "a listener for one turns outsiders away and waits for who may come",
  async () => {
    const { server, at } = await listener(["-v", "--deny", "127.0.0.2/31"]);
    await using _ = server;
    await using outsider = clientFrom("127.0.0.3", at.port);
    assertEquals((await outsider.result()).stdout, "");
    await server.said(/127\.0\.0\.3:\d+ may not connect/);
    await using friend = sockpipe(["--connect", at.address], {
      stdin: "friend",
    });
    assertEquals((await friend.result()).code, 0);
    const { code, stdout } = await server.result();
    assertEquals([code, stdout], [0, "friend"]);
  },
);

for (const mode of [[], ["--keep-open"]]) {
  Deno.test(`who may not connect sees a reset, and no end ${mode}`, async () => {
    const { server, at } = await listener([...mode, "--deny", "127.0.0.1"]);
    await using _ = server;
    for (let attempt = 0; attempt < 3; attempt++) {
      await using outsider = sockpipe(
        ["--connect", at.address, "--receive-only", "--retries=0"],
      );
      const { code, stderr } = await outsider.result();
      // It may come while it connects.
      assert(code === 1 || code === 3, `${code}: ${stderr}`);
    }
  });
}

testWith(
  ["socat"],
  "--allow keeps all others out, is repeatable, and --deny wins",
  async () => {
    const { server, at } = await listener([
      "--keep-open",
      "--connections=2",
      "--allow=127.0.0.2",
      "--allow=127.0.0.3",
      "--allow=127.0.0.4",
      "--deny=127.0.0.4",
    ]);
    await using _ = server;
    for (const last of [1, 4, 2, 5, 3]) {
      await using client = clientFrom(
        `127.0.0.${last}`,
        at.port,
        `from ${last}\n`,
      );
      await client.code();
    }
    const { code, stdout } = await server.result();
    assertEquals([code, stdout], [0, "from 2\nfrom 3\n"]);
  },
);

testWith(
  ["socat"],
  "a listener for every interface judges IPv4 clients by the rules for IPv4",
  async () => {
    await using server = sockpipe([
      "--listen=:0",
      "--keep-open",
      "--connections=2",
      "--allow=127.0.0.2",
      "--allow=::1",
    ]);
    const { port } = await server.listening();
    for (const last of [3, 2]) {
      await using client = clientFrom(
        `127.0.0.${last}`,
        port,
        `from ${last}\n`,
      );
      await client.code();
    }
    await using six = run(["socat", "-t30", "-", `TCP6:[::1]:${port}`], {
      stdin: "from ::1\n",
    });
    await six.code();
    const { code, stdout } = await server.result();
    assertEquals([code, stdout], [0, "from 2\nfrom ::1\n"]);
  },
);

testWith(
  ["socat"],
  "more outsiders than there are descriptors leave none behind",
  async () => {
    await using server = shell(
      "ulimit -n 40; exec sockpipe --listen 0 -v --receive-only --deny 127.0.0.1",
    );
    const at = await server.listening();
    const count = 60;
    for (let i = 0; i < count; i++) {
      // Reset at once, maybe before it knows that it is connected.
      using outsider = await dial(at.port).catch(() => undefined);
      if (outsider !== undefined) await receive(outsider).catch(() => {});
    }
    await until(
      () =>
        server.stderr.text().match(/may not connect/g)?.length === count ||
        undefined,
      "all refusals",
    );
    await using friend = clientFrom("127.0.0.2", at.port, "friend");
    await friend.code();
    const { code, stdout } = await server.result();
    assertEquals([code, stdout], [0, "friend"]);
  },
);

/** A client with an address of its own. */
function clientFrom(address: string, port: number, stdin = "outsider") {
  return run(["socat", "-t30", "-", `TCP:127.0.0.1:${port},bind=${address}`], {
    stdin,
  });
}
