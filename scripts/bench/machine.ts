/** The machine of the measurements, without names of hosts, users or folders. */

import { isInstalled, saidBy } from "./jobs.ts";

/** A line of the description: what, and which. */
export type Fact = readonly [string, string];

/** The command by which each peer tells its version. */
const PEERS: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["nc.openbsd", ["nc.openbsd", "-h"], /patchlevel ([\w.-]+)/],
  ["nc.traditional", ["nc.traditional", "-h"], /\[v([\w.-]+)\]/],
  ["ncat", ["ncat", "--version"], /Version ([\w.]+)/],
  ["socat", ["socat", "-V"], /socat version ([\w.+-]+)/],
];

/**
 * Describes the machine and the programs.
 *
 * @param program The words that start sockpipe.
 */
export async function describe(program: readonly string[]): Promise<Fact[]> {
  const cpu = /^model name\s*: (.*)$/m.exec(await read("/proc/cpuinfo"));
  const os = /^PRETTY_NAME="?([^"\n]*)/m.exec(await read("/etc/os-release"));
  const isSource = program.length > 1;
  const sockpipe = (await saidBy([...program, "--version"])).trim()
    .replaceAll("\n", ", ");
  return [
    ["Processors", `${navigator.hardwareConcurrency} × ${cpu?.[1] ?? "?"}`],
    ["Memory", `${Math.round(Deno.systemMemoryInfo().total / 2 ** 30)} GiB`],
    ["System", `${os?.[1] ?? Deno.build.os}, kernel ${Deno.osRelease()}`],
    ["sockpipe", `${sockpipe}; ${isSource ? "from source" : "the executable"}`],
    ...await peers(),
    ["Load when it began", loadAverage()],
  ];
}

async function peers(): Promise<Fact[]> {
  const facts: Fact[] = [];
  for (const [name, words, pattern] of PEERS) {
    const version = await isInstalled(name)
      ? pattern.exec(await saidBy(words))?.[1] ?? "of unknown version"
      : "not installed";
    facts.push([name, version]);
  }
  return facts;
}

function loadAverage(): string {
  const [load = NaN] = Deno.loadavg();
  const busy = load > navigator.hardwareConcurrency / 4;
  return load.toFixed(2) +
    (busy ? " (not a quiet machine: mistrust these numbers)" : "");
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch(() => "");
}
