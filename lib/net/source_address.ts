/** The address of `--source`. */

import { UsageError } from "../base/errors.ts";
import { parseIp } from "./ip_address.ts";
import type { IpFamily } from "./resolve.ts";

/** The address from which connections are made. */
export interface SourceAddress {
  /** 4 or 16 bytes; any address of this machine when `undefined`. */
  readonly ip: Uint8Array | undefined;
  /** The interface of a link-local address. */
  readonly zone: string | undefined;
  /** 0 is the system's choice. */
  readonly port: number;
  /** The text, as it was given. */
  readonly text: string;
}

/**
 * Reads `ADDRESS`, `ADDRESS:PORT`, `[IPV6]:PORT` or `:PORT`.
 *
 * @throws {UsageError} When the text is none of these.
 */
export function parseSource(text: string): SourceAddress {
  const { bracketed, host = bracketed ?? "", port = "0" } =
    /^(?:\[(?<bracketed>[^\]]*)\]|(?<host>[^:\[\]]*))(?::(?<port>\d{1,5}))?$/
      .exec(text)?.groups ?? { host: text };
  const [address = "", zone] = host.split("%", 2);
  const ip = parseIp(address);
  const isAny = host === "" && text.startsWith(":");
  if (ip === undefined && !isAny || Number(port) > 65535 || zone === "") {
    throw new UsageError(
      `--source "${text}" is not an address of this machine: write an IP address, and perhaps :PORT behind it`,
    );
  }
  return { ip, zone, port: Number(port), text };
}

/** Finds the family of a source address, if it has one. */
export function familyOfSource(
  { ip }: SourceAddress,
): IpFamily | undefined {
  if (ip === undefined) return undefined;
  return ip.length === 4 ? 4 : 6;
}
