import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { readServices } from "../../../lib/net/services.ts";

const isLinux = Deno.build.os === "linux";

Deno.test("parseAddress() reads every form, and formatAddress() writes it", () => {
  const tcp = (hostname: string, port: number) =>
    ({ transport: "tcp", hostname, port }) as const;
  const forms = [
    ["80", tcp("127.0.0.1", 80), "127.0.0.1:80"],
    ["nas.local:80", tcp("nas.local", 80), "nas.local:80"],
    ["[::1]:80", tcp("::1", 80), "[::1]:80"],
    ["[fe80::1%eth0]:80", tcp("fe80::1%eth0", 80), "[fe80::1%eth0]:80"],
    [":80", tcp("*", 80), "*:80"],
    ["*:0", tcp("*", 0), "*:0"],
    ["unix:/run/a b", { transport: "unix", path: "/run/a b" }, "unix:/run/a b"],
    ["unix:./@a", { transport: "unix", path: "./@a" }, "unix:./@a"],
  ] as const;
  for (const [text, address, written] of forms) {
    assertEquals(parseAddress("--listen", text), address, text);
    assertEquals(formatAddress(address), written, text);
  }
});

Deno.test({
  name: "parseAddress() takes unix:@NAME for a name of the abstract namespace",
  ignore: !isLinux,
  fn() {
    const address = { transport: "unix", path: "\0bus" } as const;
    assertEquals(parseAddress("--connect", "unix:@bus"), address);
    assertEquals(formatAddress(address), "unix:@bus");
    const most = `unix:@${"a".repeat(107)}`;
    assertEquals(formatAddress(parseAddress("--listen", most)), most);
  },
});

Deno.test("parseAddress() says what is wrong in a UsageError", () => {
  const refused: [string, string][] = [
    ["", "is not an address"],
    ["nas.local", "is not an address"],
    ["::1", "in brackets"],
    ["::1:80", "in brackets"],
    ["[::1%]:80", "is not an address"],
    ["[nas]:80", "is not an address"],
    ["nas:65536", "ports go from 0 to 65535"],
    ["nas:-1", 'knows no service "-1"'],
    ["nas:no-such-service", 'knows no service "no-such-service"'],
    ["unix:", "has no path"],
    ["unix:@", "has no path"],
    [`unix:${"a".repeat(200)}`, "is too long"],
    ["*:80", "names no host"],
    ["nas:0", "cannot be reached"],
  ];
  for (const [text, reason] of refused) {
    assertThrows(() => parseAddress("--connect", text), UsageError, reason);
  }
});

Deno.test("readServices() reads names and aliases of TCP services", () => {
  const text = [
    "# Network services",
    "echo\t\t7/udp",
    "ssh\t\t22/tcp\t\t\t# SSH Remote Login Protocol",
    "domain\t53/udp",
    "domain\t53/tcp",
    "http\t\t80/tcp\t\twww www-http # HTTP",
    "broken tcp",
  ].join("\r\n");
  const found = ["ssh", "www-http", "domain", "echo", "broken", "Remote", ""]
    .map((name) => readServices(text).get(name));
  assertEquals(found, [22, 80, 53, undefined, undefined, undefined, undefined]);
});
