/** Options mistyped, and those of other tools. */

import { assertEquals, assertThrows } from "@std/assert";
import { parseCommandLine } from "../../../lib/cli/parse.ts";
import { OPTIONS } from "../../../lib/cli/option_table.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { editDistance, nearest } from "../../../lib/cli/nearest.ts";
import { refusal } from "../../helpers/refusal.ts";

Deno.test("editDistance() counts letters added, left out, exchanged, swapped", () => {
  for (
    const [from, to, distance] of [
      ["", "", 0],
      ["listen", "listen", 0],
      ["listn", "listen", 1],
      ["lissten", "listen", 1],
      ["lisden", "listen", 1],
      ["lisetn", "listen", 1],
      ["", "abc", 3],
      ["kitten", "sitting", 3],
    ] as const
  ) assertEquals(editDistance(from, to), distance);
});

Deno.test("nearest() tells an option that is near, and none that is far", () => {
  const names = OPTIONS.map(({ name }) => name);
  for (
    const [typed, expected] of [
      ["conect", "connect"],
      ["listne", "listen"],
      ["timeout", undefined],
      ["retry", "retry-delay"],
      ["idle-timout", "idle-timeout"],
      ["verboze", "verbose"],
      ["xyz", undefined],
      ["no", undefined],
    ] as const
  ) assertEquals(nearest(typed, names), expected);
});

for (
  const [typed, told] of [
    ["--conect 80", "--conect is not an option: did you mean --connect?"],
    ["--frobnicate", "--frobnicate is not an option: see sockpipe --help"],
    [
      "-l 32000 -N",
      "That is netcat's way: write sockpipe --listen 32000 (:32000 to be reached from other machines; without -N: the end of stdin always ends the sending side)",
    ],
    [
      "host 80",
      "That is netcat's way: write sockpipe --connect host:80",
    ],
    [
      "-l -p 80",
      "That is netcat's way: write sockpipe --listen 80 (:80 to be reached from other machines)",
    ],
    [
      "-zv -w 3 ::1 22",
      "That is netcat's way: write sockpipe --connect [::1]:22 --probe --connect-timeout 3s --verbose",
    ],
    [
      "-w 3 host 80",
      "That is netcat's way: write sockpipe --connect host:80 --connect-timeout 3s --idle-timeout 3s",
    ],
    ["-U /tmp/s", "That is netcat's way: write sockpipe --connect unix:/tmp/s"],
    [
      "-u host 53",
      "sockpipe speaks TCP and unix sockets: for UDP (-u) use netcat or socat",
    ],
    [
      "TCP-LISTEN:8080,fork -",
      "That is socat's way: write sockpipe --listen :8080 --keep-open",
    ],
    ["TCP:host:80 -", "That is socat's way: write sockpipe --connect host:80"],
    [
      "-p 80",
      "-p is netcat's: the port is part of the address: --listen PORT, --connect HOST:PORT",
    ],
    [
      "-z",
      "-z is netcat's: write --connect HOST:PORT --probe, once for each port",
    ],
    [
      "-zv host 20-25",
      "-z is netcat's: write --connect HOST:PORT --probe, once for each port",
    ],
    [
      "-lvnp 4444",
      "That is netcat's way: write sockpipe --listen 4444 --verbose (:4444 to be reached from other machines)",
    ],
    [
      "-lk 80 -e /bin/cat",
      "That is netcat's way: write sockpipe --listen 80 --keep-open --exec '/bin/cat' (:80 to be reached from other machines)",
    ],
    [
      "-x proxy:3128 host 80",
      "That is netcat's way: write sockpipe --connect host:80 (without -x: there are no proxies)",
    ],
    [
      "-s 192.0.2.1 host 80",
      "That is netcat's way: write sockpipe --connect host:80 (without -s: the system chooses the address to come from)",
    ],
    [
      "-o record host 80",
      "That is netcat's way: write sockpipe --connect host:80 --dump record",
    ],
    [
      "--ssl host 443",
      "That is netcat's way: write sockpipe --connect host:443 --tls",
    ],
    [
      "--ssl -l 443",
      "That is netcat's way: write sockpipe --listen 443 --tls-self-signed --tls (:443 to be reached from other machines)",
    ],
    [
      "--recv-only host 80",
      "That is netcat's way: write sockpipe --connect host:80 --receive-only",
    ],
    [
      "-l 80 --sh-exec=date -k",
      "That is netcat's way: write sockpipe --listen 80 --keep-open --exec date (:80 to be reached from other machines)",
    ],
    [
      "--chat -l 80",
      "That is netcat's way: write sockpipe --listen 80 --broker (:80 to be reached from other machines)",
    ],
    ["--proxy a:1 host 2", "--proxy is not an option: see sockpipe --help"],
    [
      "8080",
      '"8080" needs to be told what to do: --listen 8080 waits there, --connect 8080 goes there',
    ],
    [
      "TCP-LISTEN:80,bind=127.0.0.1,fork EXEC:cat",
      "That is socat's way: write sockpipe --listen 127.0.0.1:80 --keep-open --exec 'cat'",
    ],
    [
      "TCP4-LISTEN:80 TCP:there:90",
      "That is socat's way: write sockpipe --listen :80 --forward there:90",
    ],
    [
      "UNIX-CONNECT:/tmp/s -",
      "That is socat's way: write sockpipe --connect unix:/tmp/s",
    ],
    [
      "- OPENSSL:host:443",
      "That is socat's way: write sockpipe --connect host:443 --tls",
    ],
    [
      "UDP:host:53 -",
      "sockpipe speaks TCP and unix sockets: for UDP (UDP:) use netcat or socat",
    ],
    [
      "--listen 80 -N",
      "-N is netcat's: drop it, as the end of stdin always ends the sending side",
    ],
    [
      "-w 3",
      "-w is netcat's: write --connect-timeout D or --idle-timeout D",
    ],
    [
      "-l 80 -q -v",
      "--quiet and --verbose exclude each other: drop one of them",
    ],
    ["-l", "--listen has no value: write --listen ADDRESS"],
  ] as const
) {
  Deno.test(`sockpipe ${typed} is told the sockpipe way`, () => {
    const error = assertThrows(
      () => parseCommandLine(typed.split(" ")),
      UsageError,
    );
    assertEquals(error.message, told);
    const [, proposed] = /write sockpipe ([^(]+)/.exec(told) ?? [];
    if (proposed === undefined) return;
    assertEquals(refusal(proposed.trim().split(" ")), undefined, proposed);
  });
}
