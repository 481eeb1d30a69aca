import { assert, assertEquals, assertThrows } from "@std/assert";
import { BlockList } from "node:net";
import { UsageError } from "../../../lib/base/errors.ts";
import { admitter, parseAccessRule } from "../../../lib/net/access_list.ts";
import { parseIp } from "../../../lib/net/ip_address.ts";
import { seeded } from "../../helpers/seeded.ts";

function ip(text: string): Uint8Array {
  const bytes = parseIp(text);
  assert(bytes !== undefined, text);
  return bytes;
}

function rules(texts: readonly string[]) {
  return texts.map((text) => parseAccessRule("--allow", text));
}

Deno.test("parseAccessRule() reads addresses and blocks of both families", () => {
  assertEquals(rules(["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "[::1]"]), [
    { ip: ip("192.0.2.7"), bits: 32 },
    { ip: ip("10.0.0.0"), bits: 8 },
    { ip: ip("2001:db8::"), bits: 32 },
    { ip: ip("::1"), bits: 128 },
  ]);
});

Deno.test("parseAccessRule() takes IPv4 written as IPv6 for IPv4", () => {
  assertEquals(rules(["::ffff:192.0.2.0/120", "::FFFF:192.0.2.7"]), [
    { ip: ip("192.0.2.0"), bits: 24 },
    { ip: ip("192.0.2.7"), bits: 32 },
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
    ["127.0.0.01", "is not an address"],
    ["::ffff:01.2.3.4", "is not an address"],
    ["[::1", "is not an address"],
    ["::1]", "is not an address"],
  ];
  for (const [text, reason] of refused) {
    assertThrows(() => parseAccessRule("--deny", text), UsageError, reason);
  }
});

/** Whether each address is admitted. */
function judge(
  allow: readonly string[],
  deny: readonly string[],
  addresses: readonly string[],
): boolean[] {
  const admits = admitter({ allow: rules(allow), deny: rules(deny) });
  return addresses.map(admits);
}

Deno.test("admitter() lets everybody in but the denied", () => {
  assertEquals(
    judge([], ["10.0.0.0/8", "2001:db8::/32"], [
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

Deno.test("admitter() with an allow list keeps all others out, and a denial wins", () => {
  assertEquals(
    judge(["10.0.0.0/8", "192.0.2.7", "::1"], ["10.1.0.0/16"], [
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

Deno.test("admitter() checks a v4-mapped peer by the rules for IPv4, and no other way", () => {
  assertEquals(
    judge(["192.0.2.0/24"], [], ["::ffff:192.0.2.9", "::ffff:192.0.3.9"]),
    [true, false],
  );
  assertEquals(judge([], ["0.0.0.0/0"], ["::ffff:1.2.3.4", "::1"]), [
    false,
    true,
  ]);
  assertEquals(judge([], ["::/0"], ["::1", "1.2.3.4"]), [false, true]);
});

Deno.test("admitter() takes each number of bits at its word", () => {
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
      judge([`${first.join(".")}/${bits}`], [], addresses),
      addresses.map((_, bit) => bit >= bits),
      `/${bits}`,
    );
  }
});

/** The characters of addresses, those that make them most often wrong most often. */
const CHARACTERS = "0123456789.:/%[]abfx";

Deno.test("parseAccessRule() throws nothing but UsageError, whatever is written", () => {
  const random = seeded(1);
  const digits = (most: number) => String(Math.floor(random() * most));
  const pieces = [
    () => digits(300),
    () => `0${digits(10)}`,
    () => ".",
    () => ":",
    () => "::",
    () => "::ffff:",
    () => "/",
    () => `/${digits(140)}`,
    () => CHARACTERS.charAt(random() * CHARACTERS.length),
    () => [0, 0, 0, 0].map(() => digits(260)).join("."),
    () => [0, 0, 0, 0].map(() => digits(65536)).join(":"),
  ];
  let rules = 0;
  for (let round = 0; round < 20_000; round++) {
    const count = 1 + Math.floor(random() * 5);
    const text = Array.from(
      { length: count },
      () => pieces[Math.floor(random() * pieces.length)]?.() ?? "",
    ).join("");
    try {
      const admits = admitter({
        allow: [parseAccessRule("--allow", text)],
        deny: [],
      });
      // What it reads, it can judge by: the address itself is in its block.
      const [address = ""] = text.split("/");
      assert(admits(address.replace(/[[\]]/g, "")), text);
      rules++;
    } catch (error) {
      assert(error instanceof UsageError, `${text}: ${error}`);
    }
  }
  assert(rules > 100, `${rules} rules`);
});

Deno.test("admitter() agrees with the runtime's BlockList", () => {
  const random = seeded(2);
  for (let round = 0; round < 2000; round++) {
    const isV4 = random() < 0.5;
    const one = randomAddress(random, isV4);
    const other = random() < 0.8
      ? near(one, random)
      : randomAddress(random, isV4);
    const bits = Math.floor(random() * (isV4 ? 33 : 129));
    const blocks = new BlockList();
    const family = isV4 ? "ipv4" : "ipv6";
    blocks.addSubnet(one, bits, family);
    assertEquals(
      judge([`${one}/${bits}`], [], [other]),
      [blocks.check(other, family)],
      `${other} in ${one}/${bits}`,
    );
  }
});

/** An address, IPv6 without `::`. */
function randomAddress(random: () => number, isV4: boolean): string {
  const number = (most: number) => Math.floor(random() * most);
  // 2000::/3 is far from the mapped ones, of which the BlockList has its own idea.
  return isV4
    ? Array.from({ length: 4 }, () => number(256)).join(".")
    : ["2001", ...Array.from({ length: 7 }, () => number(65536).toString(16))]
      .join(":");
}

/** The address with one of its numbers changed. */
function near(address: string, random: () => number): string {
  const separator = address.includes(":") ? ":" : ".";
  const numbers = address.split(separator);
  const index = 1 + Math.floor(random() * (numbers.length - 1));
  numbers[index] = String(Math.floor(random() * 256));
  return numbers.join(separator);
}
