/** What somebody is told who does not write a command line our way. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import { foreignHint } from "../../../lib/cli/foreign_hint.ts";
import { parseCommandLine } from "../../../lib/cli/parse.ts";
import { seeded } from "../../helpers/seeded.ts";

/** Refused command lines, and what their writers are told. */
const TOLD: readonly (readonly [string, string])[] = [
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
    "That is netcat's way: write sockpipe --connect [::1]:22 --probe --verbose --connect-timeout 3s",
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
  [
    "-c tcp://127.0.0.1:1 --probe --retries 0",
    "That is a URL, and an address has no tcp://: write sockpipe --connect 127.0.0.1:1 --probe --retries 0",
  ],
  [
    "http://host/a?b=c",
    "That is a URL, and an address has no http://: write sockpipe --connect host:80",
  ],
  [
    "--connect=https://host",
    "That is a URL, and an address has no https://: write sockpipe --connect host:443 --tls",
  ],
  [
    "-C host 80",
    "That is netcat's way: write sockpipe --connect host:80 (without -C: lines are sent as they are)",
  ],
  [
    "-p 1000 host 80",
    "That is netcat's way: write sockpipe --connect host:80 --source :1000",
  ],
  [
    "-6 -r host 80",
    "That is netcat's way: write sockpipe --connect host:80 --ipv6 (without -r: there is no such thing here)",
  ],
  [
    "-X connect -x proxy:3128 -s ::1 -p 5 host 80",
    "That is netcat's way: write sockpipe --connect host:80 --proxy http://proxy:3128 --source [::1]:5",
  ],
  [
    "-d host 80",
    "That is netcat's way: write sockpipe --connect host:80 --receive-only",
  ],
  [
    "-u TCP-LISTEN:80,crlf,reuseaddr STDIO",
    "That is socat's way: write sockpipe --listen :80 --receive-only (without crlf)",
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
    "That is netcat's way: write sockpipe --listen 80 --keep-open --exec /bin/cat (:80 to be reached from other machines)",
  ],
  [
    "-x proxy:3128 host 80",
    "That is netcat's way: write sockpipe --connect host:80 --proxy socks5h://proxy:3128",
  ],
  [
    "-s 192.0.2.1 host 80",
    "That is netcat's way: write sockpipe --connect host:80 --source 192.0.2.1",
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
  [
    "8080",
    '"8080" needs to be told what to do: --listen 8080 waits there, --connect 8080 goes there',
  ],
  [
    "TCP-LISTEN:80,bind=127.0.0.1,fork EXEC:cat",
    "That is socat's way: write sockpipe --listen 127.0.0.1:80 --keep-open --exec cat",
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
];

Deno.test("foreignHint() tells the sockpipe way", async (t) => {
  for (const [typed, told] of TOLD) {
    // Nothing is proposed that does not work on this system.
    if (Deno.build.os === "windows" && told?.includes("unix:")) continue;
    await t.step(`sockpipe ${typed}`, () => {
      const argv = typed.split(" ");
      assertThrows(() => parseCommandLine(argv), UsageError);
      const hint = foreignHint(argv);
      assertEquals(hint, told);
      assertProposalWorks(hint ?? "");
    });
  }
});

Deno.test("foreignHint() has nothing to say about our own mistakes", () => {
  for (
    const typed of [
      "--conect 80",
      "--frobnicate",
      "-l 80 -q -v",
      "-l",
      "--listen http://",
      "--message tcp://a:1",
      "--listen 80 --data-size 0",
      "OPEN:file TCP:host:80",
      "TCP:host:80 OPEN:file",
      "TCP:a:1 OPENSSL:b:2",
      "-j host 80",
    ]
  ) assertEquals(foreignHint(typed.split(" ")), undefined, typed);
});

Deno.test("foreignHint() proposes only what our own parser takes, for 5,000 random lines", () => {
  const random = seeded(13);
  const pick = <T>(list: readonly T[]) =>
    list[Math.floor(random() * list.length)];
  const words =
    ("host 80 20-25 ::1 127.0.0.1 /tmp/s host:80 [::1]:80 - it's 3 " +
      "tcp://host:1 http://host/a?b unix:///tmp/s TCP:host:80 TCP-LISTEN:80,fork " +
      "OPENSSL-LISTEN:443,cert=a EXEC:cat,pty UNIX-LISTEN:/s UDP:h:1 STDIO -u -U -d " +
      "--listen --connect --tls --retries --message=a --ssl --sh-exec --keep-open " +
      "--recv-only --chat --probe -- true").split(" ");
  const letters = [..."46bcCdDeFgGiIklmMnNoOpqrsStTuUvwxXzjL"];
  let proposals = 0;
  for (let round = 0; round < 5000; round++) {
    const argv = Array.from(
      { length: 1 + Math.floor(random() * 6) },
      () =>
        random() < 0.6 ? pick(words) ?? "" : "-" +
          Array.from(
            { length: 1 + Math.floor(random() * 3) },
            () => pick(letters),
          ).join(""),
    );
    if (assertProposalWorks(foreignHint(argv) ?? "")) proposals++;
  }
  assert(proposals > 250, `${proposals} proposals`);
});

/** Reads the command line that a hint proposes as a shell would; whether there is one. */
function assertProposalWorks(hint: string): boolean {
  const [, line] = /: write sockpipe (.*)$/s.exec(hint) ?? [];
  if (line === undefined) return false;
  const [command = ""] = line.split(/ \((?!.*'$)/);
  const argv = [...command.matchAll(/(?:'[^']*'|\\'|[^' ])+/g)]
    .map(([word]) => word.replaceAll(/'([^']*)'|\\(')/g, "$1$2"));
  assertEquals(parseCommandLine(argv).kind, "run", hint);
  return true;
}

Deno.test("foreignHint() takes no word of JavaScript's for a scheme or an option", () => {
  for (const words of [["constructor://host"], ["--toString", "host", "80"]]) {
    assertEquals(foreignHint(words), undefined);
  }
});
