import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  proxyHeader,
  ProxyHeaderError,
  readProxyHeader,
} from "../../../lib/net/proxy_protocol.ts";
import type { ProxyVersion } from "../../../lib/net/proxy_versions.ts";
import { seeded } from "../../helpers/seeded.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function tcp(hostname: string, port: number): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}

/** A socket that has these bytes to read, a part at a time, and then its end. */
function reading(bytes: Uint8Array, most = Infinity) {
  let rest = bytes;
  return {
    read(into: Uint8Array): Promise<number | null> {
      const part = rest.subarray(0, Math.min(into.length, most));
      into.set(part);
      rest = rest.subarray(part.length);
      return Promise.resolve(part.length === 0 ? null : part.length);
    },
    get rest() {
      return decoder.decode(rest);
    },
  };
}

const V2 = "\r\n\r\n\0\r\nQUIT\n";

Deno.test("proxyHeader() writes what the protocol's document says", () => {
  const header = (version: ProxyVersion, from: Deno.Addr, to: Deno.Addr) =>
    proxyHeader(version, from, to);
  assertEquals(
    decoder.decode(header("v1", tcp("192.0.2.7", 5), tcp("192.0.2.8", 65535))),
    "PROXY TCP4 192.0.2.7 192.0.2.8 5 65535\r\n",
  );
  assertEquals(
    decoder.decode(
      header("v1", tcp("::ffff:192.0.2.7", 5), tcp("192.0.2.8", 6)),
    ),
    "PROXY TCP4 192.0.2.7 192.0.2.8 5 6\r\n",
  );
  assertEquals(
    decoder.decode(header("v1", tcp("2001:db8::1", 5), tcp("fe80::1%eth0", 6))),
    "PROXY TCP6 2001:db8::1 fe80::1 5 6\r\n",
  );
  const unix = { transport: "unix", path: "/a" } as const;
  assertEquals(decoder.decode(header("v1", unix, unix)), "PROXY UNKNOWN\r\n");
  assertEquals(
    [...header("v2", tcp("192.0.2.7", 258), tcp("192.0.2.8", 3))],
    [...encoder.encode(V2), 0x21, 0x11, 0, 12]
      .concat([192, 0, 2, 7, 192, 0, 2, 8, 1, 2, 0, 3]),
  );
  assertEquals(
    [...header("v2", unix, unix)],
    [...encoder.encode(V2), 0x20, 0, 0, 0],
  );
  const v6 = header("v2", tcp("2001:db8::1", 1), tcp("2001:db8::2", 2));
  assertEquals([v6.length, v6[13], v6[15]], [52, 0x21, 36]);
});

Deno.test("readProxyHeader() reads what proxyHeader() writes, and no byte behind it", async () => {
  const pairs = [
    [tcp("192.0.2.7", 1), tcp("192.0.2.8", 65535)],
    [tcp("2001:db8::1", 1), tcp("::1", 0)],
  ] as const;
  for (const version of ["v1", "v2"] as const) {
    for (const [source, destination] of pairs) {
      const header = proxyHeader(version, source, destination);
      const bytes = Uint8Array.of(...header, ...encoder.encode("data"));
      for (const most of [1, 2, 7, 1000]) {
        const socket = reading(bytes, most);
        const endpoints = await readProxyHeader(socket);
        assertEquals(endpoints, { source, destination });
        assertEquals(socket.rest, "data");
      }
      for (let cut = 0; cut < header.length; cut++) {
        await assertRejects(
          () => readProxyHeader(reading(header.subarray(0, cut))),
          ProxyHeaderError,
          "it ended before",
        );
      }
    }
  }
});

Deno.test("readProxyHeader() knows headers that say nothing of the client, and skips what it does not know", async () => {
  const v2 = (...rest: number[]) =>
    Uint8Array.of(...encoder.encode(V2), ...rest);
  const texts = ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ::1 ::1 1 2\r\n"];
  const headers = [
    ...texts.map((text) => encoder.encode(text)),
    v2(0x20, 0, 0, 0),
    v2(0x20, 0x11, 0, 3, 1, 2, 3),
    v2(0x21, 0x31, 0, 2, 1, 2), // unix
  ];
  for (const header of headers) {
    const socket = reading(Uint8Array.of(...header, 120));
    assertEquals(await readProxyHeader(socket), undefined);
    assertEquals(socket.rest, "x");
  }
  const withMore = v2(
    0x21,
    0x11,
    0,
    16,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    0,
    9,
    0,
    10,
    3,
    0,
    1,
    0,
  );
  const socket = reading(withMore);
  assertEquals((await readProxyHeader(socket))?.source, tcp("1.2.3.4", 9));
  assertEquals(socket.rest, "");
});

Deno.test("readProxyHeader() refuses what is none, damaged or endless", async () => {
  const v2 = (...rest: number[]) =>
    Uint8Array.of(...encoder.encode(V2), ...rest);
  const text = (line: string) => encoder.encode(line);
  const refused: [Uint8Array, string][] = [
    [text("GET / HTTP/1.1\r\n\r\n"), "does not begin with"],
    [text("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), "damaged"],
    [text("PROXY TCP4 ::1 ::1 1 2\r\n"), "damaged"],
    [text("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), "damaged"],
    [text("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n"), "damaged"],
    [text("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), "damaged"],
    [text("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "damaged"],
    [text(`PROXY UNKNOWN ${"x".repeat(200)}\r\n`), "damaged"],
    [v2(0x11, 0x11, 0, 0), "damaged"],
    [v2(0x22, 0x11, 0, 0), "damaged"],
    [v2(0x21, 0x11, 0, 11, ...Array(11).fill(0)), "damaged"],
    [v2(0x21, 0x21, 0, 12, ...Array(12).fill(0)), "damaged"],
    [v2(0x21, 0x11, 0xff, 0xff), "damaged"],
  ];
  for (const [bytes, reason] of refused) {
    await assertRejects(
      () => readProxyHeader(reading(bytes)),
      ProxyHeaderError,
      reason,
    );
  }
});

Deno.test("readProxyHeader() throws nothing else, whatever comes", async () => {
  const random = seeded(5);
  for (let round = 0; round < 5000; round++) {
    const from = tcp("192.0.2.7", Math.floor(random() * 65536));
    const bytes = proxyHeader(random() < 0.5 ? "v1" : "v2", from, from);
    for (let change = 0; change < 3; change++) {
      bytes[Math.floor(random() * bytes.length)] = random() * 256;
    }
    await readProxyHeader(reading(bytes)).catch((error) => {
      assert(error instanceof ProxyHeaderError, `${error}`);
    });
  }
});
