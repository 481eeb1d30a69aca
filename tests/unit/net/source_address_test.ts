import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import {
  familyOfSource,
  parseSource,
} from "../../../lib/net/source_address.ts";

Deno.test("parseSource() reads an address, a port, or both", () => {
  const read = (text: string) => {
    const { ip, zone, port } = parseSource(text);
    return [ip?.length, ip?.at(-1), zone, port];
  };
  assertEquals(read("192.0.2.7"), [4, 7, undefined, 0]);
  assertEquals(read("192.0.2.7:5000"), [4, 7, undefined, 5000]);
  assertEquals(read("2001:db8::9"), [16, 9, undefined, 0]);
  assertEquals(read("[2001:db8::9]"), [16, 9, undefined, 0]);
  assertEquals(read("[2001:db8::9]:5000"), [16, 9, undefined, 5000]);
  assertEquals(read("fe80::1%eth0"), [16, 1, "eth0", 0]);
  assertEquals(read("[fe80::1%eth0]:5000"), [16, 1, "eth0", 5000]);
  assertEquals(read(":5000"), [undefined, undefined, undefined, 5000]);
});

Deno.test("parseSource() refuses names and what is no address of any machine", () => {
  const texts = ["", "nas", "nas:80", "1.2.3", "1.2.3.04", "1.2.3.4:65536"];
  const more = [
    "[::1",
    "::1]",
    "[]:80",
    "[1.2.3.4]x",
    "fe80::1%",
    ":x",
    "::1:x",
  ];
  for (const text of [...texts, ...more]) {
    assertThrows(() => parseSource(text), UsageError, `--source "${text}"`);
  }
});

Deno.test("familyOfSource() tells the family of an address, and none for a port", () => {
  assertEquals(familyOfSource(parseSource("192.0.2.7")), 4);
  assertEquals(familyOfSource(parseSource("::1")), 6);
  assertEquals(familyOfSource(parseSource(":5000")), undefined);
});
