import { assertEquals } from "@std/assert";
import { parseIp } from "../../../lib/net/ip_address.ts";
import {
  decodeAddress,
  encodeIp,
  encodePath,
} from "../../../lib/net/socket_address.ts";

/** What is encoded and decoded again. */
function again(text: string, port: number) {
  const ip = parseIp(text) ?? new Uint8Array();
  return decodeAddress(encodeIp({ ip, port, scope: 0 }));
}

Deno.test("decodeAddress() reads what encodeIp() and encodePath() write", () => {
  const tcp = (hostname: string, port: number) =>
    ({ transport: "tcp", hostname, port }) as const;
  assertEquals(again("192.0.2.7", 80), tcp("192.0.2.7", 80));
  assertEquals(again("2001:db8::1", 65535), tcp("2001:db8::1", 65535));
  // As people know it, whatever socket it came to.
  assertEquals(again("::ffff:192.0.2.7", 80), tcp("192.0.2.7", 80));
  for (const path of ["/run/socket", "\0name"]) {
    assertEquals(decodeAddress(encodePath(path)), { transport: "unix", path });
  }
});

Deno.test("decodeAddress() knows a unix socket without a name, and no other family", () => {
  const nobody = { transport: "unix", path: "" } as const;
  assertEquals(decodeAddress(Uint8Array.of(1, 0)), nobody);
  assertEquals(decodeAddress(Uint8Array.of(16, 0, 0, 0)), undefined);
});

Deno.test("encodeIp() has the bytes of struct sockaddr_in and sockaddr_in6", () => {
  const four = { ip: Uint8Array.of(192, 0, 2, 7), port: 258, scope: 0 };
  const bytes = encodeIp(four);
  assertEquals([...bytes.subarray(2)], [
    1,
    2,
    192,
    0,
    2,
    7,
    ...Array(8).fill(0),
  ]);
  const six = encodeIp({ ip: new Uint8Array(16).fill(1), port: 258, scope: 3 });
  assertEquals(six.length, 28);
  assertEquals([...six.subarray(2, 8)], [1, 2, 0, 0, 0, 0]);
  assertEquals(new Uint32Array(six.slice(24).buffer)[0], 3);
});
