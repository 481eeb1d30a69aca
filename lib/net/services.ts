/** Ports by the names of their services. */

/** The system's list of services, as getservbyname(3) reads it. */
const SERVICES_FILE = Deno.build.os === "windows"
  ? `${
    Deno.env.get("SystemRoot") ?? "C:\\Windows"
  }\\System32\\drivers\\etc\\services`
  : "/etc/services";

let ports: ReadonlyMap<string, number> | undefined;

/**
 * Looks a TCP service up: `ssh` is 22. The system's file is read once.
 *
 * @returns Its port; `undefined` where the system has no such name.
 */
export function servicePort(name: string): number | undefined {
  ports ??= readServices(readFile());
  return ports.get(name);
}

function readFile(): string {
  try {
    return Deno.readTextFileSync(SERVICES_FILE);
  } catch {
    return "";
  }
}

/**
 * Reads the text of services(5): lines of `NAME PORT/PROTOCOL` and other names,
 * with comments after `#`. Exported for tests.
 *
 * @returns The port of each name of a TCP service; of several, the first.
 */
export function readServices(text: string): ReadonlyMap<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name = "", port, aliases = ""] =
      /^\s*([^#\s]+)\s+(\d+)\/tcp\b([^#]*)/.exec(line) ?? [];
    for (const known of [name, ...aliases.trim().split(/\s+/)]) {
      if (known !== "" && !ports.has(known)) ports.set(known, Number(port));
    }
  }
  return ports;
}
