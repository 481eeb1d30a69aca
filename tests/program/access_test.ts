/** Who may connect: the rules by themselves, and a listener that has them. */

import { assertEquals, assertThrows } from "@std/assert";
import { accessList, parseAccessRule } from "../../lib/net/access_list.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { testWith } from "../helpers/conditions.ts";
import { until } from "../helpers/deadlines.ts";
import { run, shell } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import { dial, receive } from "../helpers/tcp.ts";

function rules(texts: readonly string[]) {
  return texts.map((text) => parseAccessRule("--allow", text));
}

Deno.test("parseAccessRule() reads addresses and blocks of both families", () => {
  assertEquals(rules(["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "[::1]"]), [
    { family: "ipv4", address: "192.0.2.7", bits: 32 },
    { family: "ipv4", address: "10.0.0.0", bits: 8 },
    { family: "ipv6", address: "2001:db8::", bits: 32 },
    { family: "ipv6", address: "::1", bits: 128 },
  ]);
});

Deno.test("parseAccessRule() takes IPv4 written as IPv6 for IPv4", () => {
  assertEquals(rules(["::ffff:192.0.2.0/120", "::FFFF:192.0.2.7"]), [
    { family: "ipv4", address: "192.0.2.0", bits: 24 },
    { family: "ipv4", address: "192.0.2.7", bits: 32 },
  ]);
});

Deno.test("parseAccessRule() refuses names, ports, zones and impossible blocks", () => {
  const refused: [string, string][] = [
    ["nas.local", "is a name"],
    ["localhost", "is a name"],
    ["192.0.2.7:80", "is not an address"],
    ["192.0.2", "is not an address"],
    ["192.0.2.256", "is not an address"],
    ["fe80::1%eth0", "has a zone"],
    ["192.0.2.0/33", "no such block"],
    ["192.0.2.0/", "no such block"],
    ["192.0.2.0/x", "no such block"],
    ["192.0.2.0/-1", "no such block"],
    ["192.0.2.0/8/8", "is not an address"],
    ["2001:db8::/129", "no such block"],
    ["::ffff:192.0.2.0/95", "no such block"],
    ["*", "is not an address"],
  ];
  for (const [text, reason] of refused) {
    assertThrows(() => parseAccessRule("--deny", text), UsageError, reason);
  }
});

/** Whether each address is admitted. */
async function judge(
  allow: readonly string[],
  deny: readonly string[],
  addresses: readonly string[],
): Promise<boolean[]> {
  const admits = await accessList({ allow: rules(allow), deny: rules(deny) });
  return addresses.map(admits);
}

Deno.test("accessList() lets everybody in but the denied", async () => {
  assertEquals(
    await judge([], ["10.0.0.0/8", "2001:db8::/32"], [
      "9.255.255.255",
      "10.0.0.0",
      "10.255.255.255",
      "11.0.0.0",
      "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
      "2001:db8::",
      "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
      "2001:db9::",
    ]),
    [true, false, false, true, true, false, false, true],
  );
});

Deno.test("accessList() with an allow list keeps all others out, and a denial wins", async () => {
  assertEquals(
    await judge(["10.0.0.0/8", "192.0.2.7", "::1"], ["10.1.0.0/16"], [
      "10.0.0.1",
      "10.1.0.1",
      "192.0.2.7",
      "192.0.2.8",
      "::1",
      "::2",
    ]),
    [true, false, true, false, true, false],
  );
});

Deno.test("accessList() judges a v4-mapped peer by the rules for IPv4, and no other way", async () => {
  assertEquals(
    await judge(["192.0.2.0/24"], [], ["::ffff:192.0.2.9", "::ffff:192.0.3.9"]),
    [true, false],
  );
  assertEquals(await judge([], ["0.0.0.0/0"], ["::ffff:1.2.3.4", "::1"]), [
    false,
    true,
  ]);
  assertEquals(await judge([], ["::/0"], ["::1", "1.2.3.4"]), [false, true]);
});

Deno.test("accessList() takes each number of bits at its word", async () => {
  for (let bits = 0; bits <= 32; bits++) {
    const first = new Uint8Array([170, 85, 170, 85]);
    const view = new DataView(first.buffer);
    const flip = (bit: number) => {
      const other = first.slice();
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (128 >> (bit & 7));
      return other.join(".");
    };
    assertEquals(view.getUint32(0), 0xaa55aa55);
    const addresses = Array.from({ length: 32 }, (_, bit) => flip(bit));
    assertEquals(
      await judge([`${first.join(".")}/${bits}`], [], addresses),
      addresses.map((_, bit) => bit >= bits),
      `/${bits}`,
    );
  }
});

testWith(
  ["socat"],
  "a listener for one turns strangers away and waits for who may come",
  async () => {
    const { server, at } = await listener(["-v", "--deny", "127.0.0.2/31"]);
    await using _ = server;
    await using stranger = clientFrom("127.0.0.3", at.port);
    assertEquals((await stranger.result()).stdout, "");
    await server.said(/127\.0\.0\.3:\d+ may not connect/);
    await using friend = sockpipe(["--connect", at.address], {
      stdin: "friend",
    });
    assertEquals((await friend.result()).code, 0);
    const { code, stdout } = await server.result();
    assertEquals([code, stdout], [0, "friend"]);
  },
);

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
  "more strangers than there are descriptors leave none behind",
  async () => {
    await using server = shell(
      "ulimit -n 40; exec sockpipe --listen 0 -v --receive-only --deny 127.0.0.1",
    );
    const at = await server.listening();
    const count = 60;
    for (let i = 0; i < count; i++) {
      using stranger = await dial(at.port);
      await receive(stranger).catch(() => {});
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
function clientFrom(address: string, port: number, stdin = "stranger") {
  return run(["socat", "-t30", "-", `TCP:127.0.0.1:${port},bind=${address}`], {
    stdin,
  });
}
