/**
 * Who may connect: `--allow` and `--deny`, by address and CIDR block.
 *
 * Only addresses count. A name would be looked up by whoever owns it, and would
 * mean another machine tomorrow.
 */

import { formatAddress, isIPv4, isIPv6, unmapped } from "./address.ts";
import { UsageError } from "../base/errors.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Listener } from "../../server.ts";

/** One address or one block of addresses. */
export interface AccessRule {
  readonly family: "ipv4" | "ipv6";
  readonly address: string;
  /** How many leading bits count: up to 32 for IPv4, 128 for IPv6. */
  readonly bits: number;
}

/** The rules of a run. A denial wins; with an allow list all others are out. */
export interface AccessRules {
  readonly allow: readonly AccessRule[];
  readonly deny: readonly AccessRule[];
}

/** Whether a peer with this IP address may connect. */
export type Admits = (hostname: string) => boolean;

/** The addresses that stand for IPv4 ones: ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
const MAPPED_BITS = 96;

/**
 * Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32`. A block
 * of IPv4 addresses written as IPv6 ones (`::ffff:192.0.2.0/120`) is the IPv4 one.
 *
 * @throws {UsageError} When the text is none of these.
 */
export function parseAccessRule(option: string, text: string): AccessRule {
  const [host = "", suffix, ...more] = text.split("/");
  const address = unmapped(host.replace(/^\[(.*)\]$/, "$1"));
  const family = isIPv4(address)
    ? "ipv4"
    : isIPv6(address) && !address.includes("%")
    ? "ipv6"
    : undefined;
  if (family === undefined || more.length > 0) {
    throw new UsageError(`${option} "${text}" ${whyNot(host)}`);
  }
  const most = family === "ipv4" ? 32 : 128;
  const isMapped = family === "ipv4" && host.includes(":");
  const bits = suffix === undefined
    ? most
    : Number(suffix) - (isMapped ? MAPPED_BITS : 0);
  if (!/^\d{1,3}$/.test(suffix ?? "0") || bits < 0 || bits > most) {
    throw new UsageError(
      `${option} "${text}" has no such block: /N goes from ${
        isMapped ? `/${MAPPED_BITS} to /128` : `/0 to /${most}`
      }`,
    );
  }
  return { family, address, bits };
}

function whyNot(host: string): string {
  if (host.includes("%")) {
    return "has a zone: write the address without it";
  }
  return /^[\w-]+(\.[\w-]+)*\.?$/.test(host) && /[a-z]/i.test(host)
    ? "is a name, and names are not to be trusted: write the address"
    : "is not an address: write an IP address, or a block like 192.0.2.0/24 or 2001:db8::/32";
}

/**
 * Makes the judge of a run.
 *
 * The matching is `BlockList` of node:net, which is part of the runtime, kept and
 * tested there; it is loaded only when there are rules.
 */
export async function accessList(rules: AccessRules): Promise<Admits> {
  const { BlockList } = await import("node:net");
  const list = (rules: readonly AccessRule[]) => {
    const blocks = new BlockList();
    for (const { family, address, bits } of rules) {
      blocks.addSubnet(address, bits, family);
    }
    return (address: string) =>
      blocks.check(address, isIPv4(address) ? "ipv4" : "ipv6");
  };
  const isDenied = list(rules.deny);
  const isAllowed = rules.allow.length === 0 ? () => true : list(rules.allow);
  return (hostname) => {
    const address = unmapped(hostname).replace(/%.*$/, "");
    return !isDenied(address) && isAllowed(address);
  };
}

/**
 * A listener that only lets in whom `admits` admits. The others are closed at
 * once and said, and the wait goes on: no stranger can end it.
 */
export function guarded(
  listener: Listener,
  admits: Admits,
  report: Reporter,
): Listener {
  return {
    address: listener.address,
    exposed: listener.exposed,
    close: () => listener.close(),
    [Symbol.dispose]: () => listener.close(),
    async accept() {
      for (;;) {
        const conn = await listener.accept();
        const { remoteAddr } = conn;
        if (remoteAddr.transport !== "tcp" || admits(remoteAddr.hostname)) {
          return conn;
        }
        conn.close();
        report.say({ event: "refused", peer: formatAddress(remoteAddr) });
      }
    },
  };
}
