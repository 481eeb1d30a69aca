/**
 * The rules for who may connect: `--allow` and `--deny`, by address and CIDR block.
 *
 * Only addresses count. A name would be looked up by whoever owns it, and would
 * mean another machine tomorrow.
 */

import { UsageError } from "../base/errors.ts";
import { parseIp, unmappedIp } from "./ip_address.ts";
import type { Listener } from "./listener.ts";
import { refuseSocket } from "./system_sockets.ts";

/** One address, or a block of addresses that begin alike. */
export interface AccessRule {
  /** 4 bytes for IPv4, 16 for IPv6. */
  readonly ip: Uint8Array;
  /** The number of leading bits that count: up to 32 for IPv4, 128 for IPv6. */
  readonly bits: number;
}

/** The rules of a run. A denial wins; with an allow list all others are out. */
export interface AccessRules {
  readonly allow: readonly AccessRule[];
  readonly deny: readonly AccessRule[];
}

/** Whether a peer with this IP address may connect. */
export type Admits = (hostname: string) => boolean;

/** The bits that IPv4 addresses written as IPv6 ones have in common. */
const MAPPED_BITS = 96;

/**
 * Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32`. A block
 * of IPv4 addresses written as IPv6 ones (`::ffff:192.0.2.0/120`) is the IPv4 one.
 *
 * @param option The option that was given the text, for the message.
 * @throws {UsageError} When the text is none of these.
 */
export function parseAccessRule(option: string, text: string): AccessRule {
  const [host = "", suffix, ...more] = text.split("/");
  const written = parseIp(host.replace(/^\[(.*)\]$/, "$1"));
  if (written === undefined || more.length > 0) {
    throw new UsageError(`${option} "${text}" ${whyNot(host)}`);
  }
  const ip = unmappedIp(written);
  const least = ip.length < written.length ? MAPPED_BITS : 0;
  const most = written.length * 8;
  const bits = suffix === undefined ? most : Number(suffix);
  if (!/^\d{1,3}$/.test(suffix ?? "0") || bits < least || bits > most) {
    throw new UsageError(
      `${option} "${text}" has no such block: /N goes from /${least} to /${most}`,
    );
  }
  return { ip, bits: bits - least };
}

function whyNot(host: string): string {
  if (host.includes("%")) {
    return "has a zone: write the address without it";
  }
  return /^[\w-]+(\.[\w-]+)*\.?$/.test(host) && /[a-z]/i.test(host)
    ? "is a name, and names are not to be trusted: write the address"
    : "is not an address: write an IP address, or a block like 192.0.2.0/24 or 2001:db8::/32";
}

/** Makes the check of a run's rules. What is no IP address is never admitted. */
export function admitter({ allow, deny }: AccessRules): Admits {
  return (hostname) =>
    isAddress(hostname) && !covers(deny, hostname) &&
    (allow.length === 0 || covers(allow, hostname));
}

function isAddress(hostname: string): boolean {
  return parseIp(withoutZone(hostname)) !== undefined;
}

function withoutZone(hostname: string): string {
  return hostname.replace(/%.*$/, "");
}

/** Whether one of the rules is for the address; for a name, none is. */
export function covers(
  rules: readonly AccessRule[],
  hostname: string,
): boolean {
  const written = parseIp(withoutZone(hostname));
  if (written === undefined) return false;
  const ip = unmappedIp(written);
  return rules.some((rule) => isCovered(ip, rule));
}

/** Whether the address is of the rule's family and begins as the rule says. */
function isCovered(ip: Uint8Array, rule: AccessRule): boolean {
  if (ip.length !== rule.ip.length) return false;
  return rule.ip.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, rule.bits - 8 * index));
    return ((byte ^ (ip[index] ?? 0)) >> (8 - bits)) === 0;
  });
}

/**
 * Makes a listener that resets connections from addresses that `admits` refuses, at
 * once, and the wait for a peer goes on.
 *
 * @param onRefused Called with the address of each that was refused.
 */
export function restricted(
  listener: Listener,
  admits: Admits,
  onRefused: (peer: Deno.Addr) => void,
): Listener {
  return {
    address: listener.address,
    exposed: listener.exposed,
    close: () => listener.close(),
    [Symbol.dispose]: () => listener.close(),
    async accept() {
      for (;;) {
        const conn = await listener.accept();
        const peer = conn.origin?.source ?? conn.remoteAddr;
        if (peer.transport !== "tcp" || admits(peer.hostname)) return conn;
        refuseSocket(conn);
        onRefused(peer);
      }
    },
  };
}
