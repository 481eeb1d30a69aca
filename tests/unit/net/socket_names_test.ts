import { assertEquals } from "@std/assert";
import { indexByName, SocketNames } from "../../../lib/net/socket_names.ts";

const PORTS = [0x7d, 0x00, 0x01, 0xbb]; // 32000, 443
const IPV4 = [192, 0, 2, 7];
const FLOW = [0, 0, 0, 0];
const IPV6 = [0x20, 0x01, 0x0d, 0xb8, ...new Array(11).fill(0), 0x07];

/** `struct sockaddr` as each system lays it out: its own address, and the peer's. */
const SYSTEMS = {
  Linux: { familyAt: 0, inet6: 10, four: [2, 0], six: [10, 0] },
  macOS: { familyAt: 1, inet6: 30, four: [16, 2], six: [28, 30] },
  Windows: { familyAt: 0, inet6: 23, four: [2, 0], six: [23, 0] },
} as const;

for (
  const [system, { familyAt, inet6, four, six }] of Object.entries(SYSTEMS)
) {
  Deno.test(`SocketNames reads the addresses of ${system} as Deno tells them`, () => {
    const answers = [
      [...six, ...PORTS.slice(2), ...FLOW, ...IPV6],
      [...four, ...PORTS.slice(0, 2), ...IPV4],
    ];
    const answer = (_: number, address: Uint8Array<ArrayBuffer>) => {
      address.set(answers.shift() ?? []);
      return 0;
    };
    const names = new SocketNames({
      familyAt,
      inet6,
      getpeername: answer,
      getsockname: answer,
    });
    const [[expected] = [""]] = indexByName([{
      localAddr: { transport: "tcp", hostname: "192.0.2.7", port: 32000 },
      remoteAddr: { transport: "tcp", hostname: "2001:db8::7", port: 443 },
    }]);
    assertEquals(names.of(7), expected);
  });
}
