/** Ports by the names of their services. */

/** Where the system keeps the names, as getservbyname(3) reads them. */
const SERVICES_FILE = Deno.build.os === "windows"
  ? `${
    Deno.env.get("SystemRoot") ?? "C:\\Windows"
  }\\System32\\drivers\\etc\\services`
  : "/etc/services";

/**
 * Looks a TCP service up: `ssh` is 22.
 *
 * @returns Its port; `undefined` where the system has no such name.
 */
export function servicePort(name: string): number | undefined {
  try {
    return findService(Deno.readTextFileSync(SERVICES_FILE), name);
  } catch {
    return undefined;
  }
}

/**
 * Finds a TCP service in the text of services(5): lines of `NAME PORT/PROTOCOL`
 * and other names, with comments after `#`. Exported for tests.
 */
export function findService(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [official, port = "", ...aliases] = line.replace(/#.*/, "").trim()
      .split(/\s+/);
    if (official !== name && !aliases.includes(name)) continue;
    const number = /^(\d+)\/tcp$/.exec(port)?.[1];
    if (number !== undefined) return Number(number);
  }
  return undefined;
}
