import { assertEquals } from "@std/assert";
import { isIP } from "node:net";
import {
  formatIp,
  parseIp,
  unmapped,
  unmappedIp,
} from "../../../lib/net/ip_address.ts";
import { seeded } from "../../helpers/seeded.ts";

Deno.test("parseIp() reads addresses of both families into bytes", () => {
  const bytes = (text: string) => parseIp(text)?.join(" ");
  assertEquals(bytes("192.0.2.7"), "192 0 2 7");
  assertEquals(bytes("::"), Array(16).fill(0).join(" "));
  assertEquals(bytes("::1"), [...Array(15).fill(0), 1].join(" "));
  assertEquals(
    bytes("2001:DB8::ff:1"),
    "32 1 13 184 0 0 0 0 0 0 0 0 0 255 0 1",
  );
  assertEquals(bytes("::ffff:1.2.3.4"), "0 0 0 0 0 0 0 0 0 0 255 255 1 2 3 4");
  assertEquals(
    bytes("1:2:3:4:5:6:7:8"),
    "0 1 0 2 0 3 0 4 0 5 0 6 0 7 0 8",
  );
});

Deno.test("parseIp() refuses what only looks like an address", () => {
  const texts = ["", "1.2.3", "1.2.3.256", "1.2.3.04", "1.2.3.4.5", "127.1"];
  const more = [":", ":::", "1::2::3", "::g", "fe80::1%eth0", "[::1]", "a:80"];
  for (const text of [...texts, ...more, "::ffff:01.2.3.4", "::1/64"]) {
    assertEquals(parseIp(text), undefined, text);
  }
});

Deno.test("formatIp() writes what parseIp() has read", () => {
  for (const text of ["0.0.0.0", "192.0.2.7", "::", "::1", "2001:db8::1:0:1"]) {
    assertEquals(formatIp(parseIp(text) ?? new Uint8Array()), text);
  }
});

Deno.test("unmappedIp() and unmapped() know IPv4 within IPv6, and leave the rest", () => {
  const mapped = parseIp("::ffff:192.0.2.7") ?? new Uint8Array();
  assertEquals(unmappedIp(mapped).join("."), "192.0.2.7");
  const other = parseIp("::fffe:192.0.2.7") ?? new Uint8Array();
  assertEquals(unmappedIp(other), other);
  assertEquals(unmapped("::ffff:192.0.2.7"), "192.0.2.7");
  for (const text of ["::1", "192.0.2.7", "nas.local", "fe80::1%eth0", "*"]) {
    assertEquals(unmapped(text), text);
  }
});

Deno.test("parseIp() takes what the runtime takes for an address, and nothing else", () => {
  const random = seeded(3);
  for (let round = 0; round < 20_000; round++) {
    const length = 1 + Math.floor(random() * 12);
    const text = Array.from(
      { length },
      () => "0125.:f"[Math.floor(random() * 7)],
    ).join("");
    const size = { 0: undefined, 4: 4, 6: 16 }[isIP(text)];
    assertEquals(parseIp(text)?.length, size, text);
  }
});
