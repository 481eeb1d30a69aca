/** Usage errors, help and version: nothing is opened. */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parseCommandLine } from "../../../lib/cli/parse.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener } from "../../helpers/tcp.ts";

for (const option of ["--help", "-h", "--version", "-V"]) {
  Deno.test(`exit 0 for ${option}, which speaks on stdout`, async () => {
    await using help = sockpipe([option]);
    const { code, stdout, stderr } = await help.result();
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /sockpipe|\d+\.\d+\.\d+/);
    assert(stdout.endsWith("\n"));
  });
}

Deno.test("--help names every option of the contract within 80 columns", async () => {
  await using help = sockpipe(["--help"]);
  const { stdout } = await help.result();
  const options = "listen connect data-size message send-only receive-only " +
    "retry-delay retry-max-delay retries retry-timeout connect-timeout " +
    "accept-timeout idle-timeout probe reuse-port verbose quiet";
  for (const option of options.split(" ")) {
    assertMatch(stdout, RegExp(`--${option}\\b`));
  }
  const longest = Math.max(...stdout.split("\n").map((line) => line.length));
  assert(longest <= 80, `a line of ${longest} columns`);
});

Deno.test("exit 2 and a short help on stderr without --listen and --connect", async () => {
  await using bare = sockpipe([]);
  const { code, stdout, stderr } = await bare.result();
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /--listen ADDRESS/);
  assertMatch(stderr, /--connect ADDRESS/);
  assertMatch(stderr, /--help/);
});

/** What the words `LISTEN` and `CONNECT` stand for: an address that is busy. */
const USAGE_ERRORS: readonly (readonly [string, RegExp])[] = [
  ["--listen LISTEN --baffle", /--baffle/],
  ["--connect CONNECT --baffle=1", /--baffle/],
  ["--connect CONNECT -x", /-x/],
  ["--lissten LISTEN", /--lissten/],
  ["--listen", /--listen/],
  ["--listen=", /--listen/],
  ["--connect", /--connect/],
  ["--connect=", /--connect/],
  ["--listen LISTEN --data-size", /--data-size/],
  ["--listen LISTEN --data-size=", /--data-size/],
  ["--listen --data-size 64k", /--listen/],
  ["--connect CONNECT --message", /--message/],
  ["--connect CONNECT --message=", /--message/],
  ["--connect CONNECT --retries", /--retries/],
  ["--connect CONNECT --probe=yes", /--probe/],
  ["--listen LISTEN --send-only=false", /--send-only/],
  ["--listen LISTEN --listen LISTEN", /--listen/],
  ["-l LISTEN --listen LISTEN", /--listen/],
  ["--connect CONNECT -c CONNECT", /--connect/],
  ["--connect CONNECT --message a --message b", /--message/],
  ["--connect CONNECT --retries 1 --retries 2", /--retries/],
  ["--listen LISTEN --data-size 1 --data-size=1", /--data-size/],
  ["--listen LISTEN --connect CONNECT", /--listen.*--connect/],
  ["--probe", /--listen.*--connect/],
  ["-v", /--listen.*--connect/],
  ["LISTEN", /--listen/],
  ["--listen LISTEN file", /file/],
  ["--connect CONNECT -", /-/],
  ["--connect CONNECT -- --message", /--message/],
  ["--listen LISTEN --quiet true", /true/],
  ["--quiet false --listen LISTEN", /false/],
  ["--listen LISTEN --send-only --receive-only", /--send-only.*--receive-only/],
  ["--connect CONNECT --message a --receive-only", /--message.*--receive-only/],
  ["--listen LISTEN --probe", /--probe/],
  ["--listen LISTEN --retries 1", /--retries/],
  ["--listen LISTEN --retry-delay 1s", /--retry-delay/],
  ["--listen LISTEN --retry-max-delay 1s", /--retry-max-delay/],
  ["--listen LISTEN --retry-timeout 1s", /--retry-timeout/],
  ["--listen LISTEN --connect-timeout 1s", /--connect-timeout/],
  ["--connect CONNECT --accept-timeout 1s", /--accept-timeout/],
  ["--connect CONNECT --reuse-port", /--reuse-port/],
  ["--connect CONNECT --probe --message a", /--probe.*--message/],
  ["--connect CONNECT --probe --send-only", /--probe.*--send-only/],
  ["--connect CONNECT --probe --receive-only", /--probe.*--receive-only/],
  ["--connect CONNECT -q -v", /--quiet.*--verbose/],
  ["--listen LISTEN --data-size 0", /--data-size "0".*1.*16M/],
  ["--listen LISTEN --data-size 17M", /--data-size "17M".*16M/],
  ["--listen LISTEN --data-size 16777217", /--data-size "16777217".*16M/],
  ["--listen LISTEN --data-size 99999999999999999999G", /--data-size/],
  ["--listen LISTEN --data-size -1", /-1/],
  ["--listen LISTEN --data-size=-1", /--data-size "-1"/],
  ["--listen LISTEN --data-size 1.5k", /--data-size "1.5k"/],
  ["--listen LISTEN --data-size 64kB", /--data-size "64kB"/],
  ["--listen LISTEN --data-size many", /--data-size "many"/],
  ["--listen LISTEN --accept-timeout 3x", /--accept-timeout "3x"/],
  ["--listen LISTEN --accept-timeout soon", /--accept-timeout "soon"/],
  ["--listen LISTEN --idle-timeout 0", /--idle-timeout "0"/],
  ["--listen LISTEN --idle-timeout=-1s", /--idle-timeout/],
  ["--listen LISTEN --idle-timeout 9999999h", /--idle-timeout "9999999h"/],
  ["--connect CONNECT --connect-timeout 1,5", /--connect-timeout "1,5"/],
  ["--connect CONNECT --retry-delay 0", /--retry-delay "0"/],
  ["--connect CONNECT --retry-timeout 1d", /--retry-timeout "1d"/],
  ["--connect CONNECT --retries=-1", /--retries/],
  ["--connect CONNECT --retries 1.5", /--retries "1.5"/],
  ["--connect CONNECT --retries few", /--retries "few"/],
  ["--listen 65536", /--listen "65536".*65535/],
  ["--listen=-1", /--listen/],
  ["--listen 127.0.0.1:99999", /--listen "127.0.0.1:99999"/],
  ["--listen no-service", /--listen "no-service"/],
  ["--listen 127.0.0.1:no-service", /--listen "127.0.0.1:no-service"/],
  ["--listen 127.0.0.1:", /--listen "127.0.0.1:"/],
  ["--listen 1:2:3", /--listen "1:2:3"/],
  ["--listen ::1:8000", /--listen "::1:8000".*\[/],
  ["--listen [::1]", /--listen "\[::1\]"/],
  ["--listen [::1", /--listen/],
  ["--listen [no]:1", /--listen "\[no\]:1"/],
  ["--listen unix:", /--listen "unix:"/],
  [`--listen unix:/${"long/".repeat(30)}`, /--listen .*long/],
  ["--connect 0", /--connect "0"/],
  ["--connect localhost:0", /--connect "localhost:0"/],
  ["--connect :CONNECT", /--connect ":/],
  ["--connect *:CONNECT", /--connect "\*:/],
  ["--connect localhost", /--connect "localhost"/],
  ["--connect [::1]:1 --ipv4", /"\[::1\]:1" is no IPv4 address.*--ipv4/],
  ["--listen 127.0.0.1:1 -6", /"127.0.0.1:1" is no IPv6 address.*--ipv6/],
  ["--listen LISTEN -4 -6", /--ipv4 and --ipv6 exclude each other/],
  ["--connect unix:/a -4", /--ipv4 and --ipv6 are for IP addresses/],
  ["--listen unix:/a --keepalive 1s", /--keepalive is for TCP/],
  ["--listen systemd -4", /--listen systemd takes sockets as they/],
  ["--listen LISTEN --proxy-protocol v1", /--proxy-protocol belongs to --f/],
  [
    "--listen LISTEN --forward CONNECT --proxy-protocol v3",
    /--proxy-protocol "v3"/,
  ],
  ["--listen LISTEN --accept-proxy-protocol nas", /"nas" is a name/],
  ["--listen unix:/a --accept-proxy-protocol ::1", /is for plain TCP/],
  ["--listen systemd --reuse-port", /--listen systemd takes sockets as they/],
  ["--connect systemd", /--connect "systemd" is not an address/],
  ["--connect CONNECT --keepalive soon", /--keepalive "soon"/],
  ["--listen unix:/a -6 --forward unix:/b", /--ipv4 and --ipv6 are for IP/],
  ["--listen LISTEN --proxy http://p", /--proxy belongs to --connect or/],
  ["--connect CONNECT --proxy ftp://p", /--proxy "ftp:\/\/p" is not a proxy/],
  ["--connect CONNECT --proxy http://a:b@p", /--proxy-password-file/],
  ["--connect [::1]:1 --proxy socks4a://p", /socks4a:\/\/ cannot reach/],
  ["--connect unix:/a --proxy http://p", /--proxy goes to a TCP port/],
  [
    "--listen LISTEN --forward unix:/a --proxy http://p",
    /--proxy goes to a TCP port/,
  ],
  ["--connect CONNECT --proxy-password-file f", /belongs to --proxy/],
  ["--connect CONNECT --source nas", /--source "nas" is not an address/],
  ["--connect CONNECT --source 1.2.3.4:70000", /--source "1.2.3.4:70000"/],
  ["--connect CONNECT --source 1.2.3.04", /--source "1.2.3.04"/],
  ["--connect [::1]:1 --source 127.0.0.1", /--source "127.0.0.1" is an IPv4/],
  ["--connect a:1 -6 --source 127.0.0.1", /--source "127.0.0.1" is an IPv4/],
  ["--listen LISTEN --source 127.0.0.1", /--source belongs to --connect or/],
  ["--connect unix:/a --source 127.0.0.1", /--source is for TCP/],
  [
    "--connect CONNECT --proxy http://p --tls --tls-cert f",
    /--proxy and --source cannot be had with --tls-cert.*--tls-pin/,
  ],
];

Deno.test("exit 2 and one sentence that names the option for every usage error, before any socket is opened", async (t) => {
  // Both addresses are taken by this test: a program that tries to listen gets
  // exit 4, and one that connects is seen here.
  using raw = rawListener();
  for (const [line, sentence] of USAGE_ERRORS) {
    await t.step(`sockpipe ${line}`, () => {
      const args = line.replaceAll(/LISTEN|CONNECT/g, `${raw.port}`).split(" ");
      const { message } = assertThrows(
        () => parseCommandLine(args),
        UsageError,
      );
      assertMatch(message, /^[^\n]*[^.\n]$/);
      assertMatch(message, sentence);
    });
  }
  // That such an error of the parser is all that happens; starts are dear.
  for (const [line, sentence] of USAGE_ERRORS.filter((_, at) => at % 8 === 0)) {
    await t.step(`the program: sockpipe ${line}`, async () => {
      const args = line.replaceAll(/LISTEN|CONNECT/g, `${raw.port}`).split(" ");
      await using process = sockpipe(args, { stdin: "not to be read" });
      const { code, stdout, stderr } = await process.result();
      assertMatch(stderr, /^sockpipe: [^\n]*[^.\n]\n$/);
      assertMatch(stderr, sentence);
      assertEquals([code, stdout], [2, ""], stderr);
    });
  }
  await t.step("nobody connected meanwhile", async () => {
    using own = await dial(raw.port);
    using first = await accept(raw);
    assertEquals(first.remoteAddr.port, own.localAddr.port);
  });
});
