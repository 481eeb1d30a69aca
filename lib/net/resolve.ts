/** Names of hosts, looked up. */

import { isIPv4, isIPv6 } from "./ip_address.ts";

/** The family of an IP address. */
export type IpFamily = 4 | 6;

/**
 * Looks up the addresses of a name, in the order of the system's resolver.
 *
 * Deno.connect of Deno 2.4 tries only the first, so this is done here; node:dns
 * is loaded only for names, since that takes milliseconds.
 *
 * @param hostname A name, or an IP address, which is the answer itself.
 * @param family The only family that counts; both when `undefined`.
 * @throws {NoAddressError} The name has no address of the family.
 * @throws The system's error, with its `code`: `ENOTFOUND`, `EAI_AGAIN`.
 */
export async function resolve(
  hostname: string,
  family: IpFamily | undefined,
): Promise<string[]> {
  if (familyOfAddress(hostname) !== undefined) return [hostname];
  // Not at every start: modules of Node take up to 18 ms.
  const { default: process } = await import("node:process");
  // Deno 2.4 would warn on stderr of what node:dns itself imports.
  Object.assign(process, { noDeprecation: true });
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(hostname, { all: true, verbatim: true });
  const addresses = found.map(({ address }) => address)
    .filter((address) =>
      family === undefined || familyOfAddress(address) === family
    );
  if (addresses.length > 0) return addresses;
  const kind = family === undefined ? "" : `IPv${family} `;
  throw new NoAddressError(`the name has no ${kind}address`);
}

/** Finds the family of an IP address; `undefined` for a name. */
export function familyOfAddress(hostname: string): IpFamily | undefined {
  if (isIPv4(hostname)) return 4;
  return isIPv6(hostname) ? 6 : undefined;
}

/** A name that exists, without an address of the family that is wanted. */
export class NoAddressError extends Error {
  override readonly name = "NoAddressError";
}
