/**
 * The options of "The network" against everything that they may meet: each pair is
 * understood, or refused for a reason. That what is understood works is tried in
 * tests/program/net.
 */

import { assert, assertEquals } from "@std/assert";
import { refusalOf } from "../../helpers/usage.ts";

/** What a run is about, as the columns of the table. */
const RUNS = {
  connect: "--connect a:1",
  "connect, reliable": "--connect a:1 --reliable",
  "connect, TLS": "--connect a:1 --tls",
  "connect, TLS with a key": "--connect a:1 --tls --tls-cert f",
  "connect, TLS with key and pin":
    `--connect a:1 --tls --tls-cert f --tls-pin sha256:${"0".repeat(64)}`,
  "connect, secret": "--connect a:1 --secret-file f",
  "connect, forward": "--connect a:1 --forward b:1",
  "connect, exec": "--connect a:1 --exec x",
  "connect, unix": "--connect unix:/a",
  listen: "--listen a:1",
  "listen, reliable": "--listen a:1 --reliable",
  "listen, TLS": "--listen a:1 --tls --tls-self-signed",
  "listen, secret": "--listen a:1 --secret-file f",
  "listen, unix": "--listen unix:/a",
  "keep-open": "--listen a:1 -k",
  forward: "--listen a:1 -k --forward b:1",
  "forward, unix": "--listen a:1 -k --forward unix:/b",
  "forward, TLS": "--listen a:1 -k --forward b:1 --forward-tls",
  "forward, secret": "--listen a:1 -k --forward b:1 --forward-secret-file f",
  "unix, forward": "--listen unix:/a -k --forward b:1",
  exec: "--listen a:1 -k --exec x",
  systemd: "--listen systemd",
  "systemd, TLS": "--listen systemd --tls --tls-self-signed",
  "systemd, reliable": "--listen systemd --reliable",
  "systemd, forward": "--listen systemd -k --forward b:1",
} as const;
type Run = keyof typeof RUNS;

/** For each option the reasons of its refusals, and where each is given. */
const REFUSALS: Record<string, Record<string, readonly Run[]>> = {
  "-4": {
    "and a unix socket has none": ["connect, unix", "listen, unix"],
    "takes sockets as they were opened": [
      "systemd",
      "systemd, TLS",
      "systemd, reliable",
      "systemd, forward",
    ],
  },
  "--keepalive 30s": {
    "--keepalive is for TCP": ["connect, unix", "listen, unix"],
  },
  "--source 127.0.0.1": {
    "--source is for TCP": ["connect, unix", "forward, unix"],
    "give --tls-pin": ["connect, TLS with a key"],
    "belongs to --connect or --forward": [
      "listen",
      "listen, reliable",
      "listen, TLS",
      "listen, secret",
      "listen, unix",
      "keep-open",
      "exec",
      "systemd",
      "systemd, TLS",
      "systemd, reliable",
    ],
  },
  "--proxy socks5h://p": {
    "--proxy goes to a TCP port": ["connect, unix", "forward, unix"],
    "give --tls-pin": ["connect, TLS with a key"],
    "belongs to --connect or --forward": [
      "listen",
      "listen, reliable",
      "listen, TLS",
      "listen, secret",
      "listen, unix",
      "keep-open",
      "exec",
      "systemd",
      "systemd, TLS",
      "systemd, reliable",
    ],
  },
  "--proxy-protocol v2": {
    "--proxy-protocol belongs to --listen": ["connect, forward"],
    "--proxy-protocol belongs to --forward": [
      "connect",
      "connect, reliable",
      "connect, TLS",
      "connect, TLS with a key",
      "connect, TLS with key and pin",
      "connect, secret",
      "connect, exec",
      "connect, unix",
      "listen",
      "listen, reliable",
      "listen, TLS",
      "listen, secret",
      "listen, unix",
      "keep-open",
      "exec",
      "systemd",
      "systemd, TLS",
      "systemd, reliable",
    ],
    "cannot be had with TLS on the way on": ["forward, TLS", "forward, secret"],
  },
  "--accept-proxy-protocol 127.0.0.1": {
    "belongs to --listen": [
      "connect",
      "connect, reliable",
      "connect, TLS",
      "connect, TLS with a key",
      "connect, TLS with key and pin",
      "connect, secret",
      "connect, forward",
      "connect, exec",
      "connect, unix",
    ],
    "is for plain TCP": [
      "listen, TLS",
      "listen, secret",
      "listen, unix",
      "unix, forward",
      "systemd, TLS",
    ],
  },
};

for (const [option, refusals] of Object.entries(REFUSALS)) {
  Deno.test(`${option} is understood, or refused for a reason, with whatever it meets`, () => {
    for (const [run, words] of Object.entries(RUNS)) {
      const [reason] = Object.entries(refusals)
        .find(([, runs]) => runs.some((refused) => refused === run)) ?? [];
      const said = refusalOf(`${words} ${option}`.split(" "));
      const hasNoUnix = Deno.build.os === "windows" && words.includes("unix:");
      // Whatever comes first, one reason or the other.
      if (hasNoUnix) assert(said !== undefined, run);
      else if (reason === undefined) assertEquals(said, undefined, run);
      else assert(said?.includes(reason), `${run}: ${said}`);
    }
  });
}
