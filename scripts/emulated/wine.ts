/**
 * `task wine`: the tests with one side, or all, on Windows: npm's Deno for it, under
 * the wine of Debian 13 in a folder that debootstrap makes. Both are kept in the
 * cache, 1.6 GB.
 *
 * It takes root (chroot and mounts, in a namespace of their own), debootstrap, npm,
 * and a mirror of Debian; where one of them is missing, it says so and does nothing.
 */

import { cached } from "../cache.ts";
import { run, runTool } from "../release/tool.ts";
import { denoFor, main, need, NotHereError, type System } from "./system.ts";

const SUITE = "trixie";
/** Of the folder from debootstrap, where things are in it. */
const PLACES = {
  deno: "/opt/deno",
  modules: "/opt/modules",
  prefix: "/opt/prefix",
} as const;

/**
 * The mounts in the folder: all of this machine that the tests read or write, at the
 * same place.
 */
const MOUNTS = `root=$1; shift; here=$1; shift; deno=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for folder in /tmp "$here"; do mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; done
mkdir -p "$root${PLACES.deno}"; mount --bind "$deno" "$root${PLACES.deno}"
exec chroot "$root" env HOME=/root START="$PWD" "$@"`;

/** The environment of wine and Deno. */
const ENVIRONMENT = [
  `DENO_DIR=${windowsPath(PLACES.modules)}`,
  `WINEPREFIX=${PLACES.prefix}`,
  "WINEDEBUG=-all",
  "WINEDLLOVERRIDES=mscoree,mshtml=", // else it asks for a download
];

/** Goes to the folder in which the program was started, which chroot has left. */
const IN_PLACE = ["sh", "-c", 'cd "$START" && exec "$@"', "sh"];

/** Writes a path of Linux as wine names it. */
function windowsPath(path: string): string {
  return `Z:${path.replaceAll("/", "\\")}`;
}

async function wine(): Promise<System & AsyncDisposable> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) {
    throw new NotHereError("it takes Linux, and root");
  }
  await need(["debootstrap", "unshare", "npm"]);
  const root = await cached(`wine-${SUITE}`, bootstrap);
  const deno = await denoFor("win32-x64");
  await prepare(root);
  const here = new URL("../../", import.meta.url).pathname;
  const inside = ["unshare", "--mount", "--propagation=slave"];
  const mount = ["sh", "-c", MOUNTS, "sh", root, here, deno];
  const words = [...inside, ...mount, ...ENVIRONMENT, ...IN_PLACE];
  const session = await Session.start(words);
  const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return {
    name: "wine",
    deno: `${quoted.join(" ")} wine '${PLACES.deno}/deno.exe'`,
    units: ["tests/unit"],
    path: windowsPath,
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

async function bootstrap(cwd: string): Promise<string> {
  const words = ["--variant=minbase", "--include=wine,wine64", SUITE, "root"];
  try {
    await runTool("debootstrap", words, { cwd });
  } catch (error) {
    throw new NotHereError("debootstrap cannot get Debian", { cause: error });
  }
  return `${cwd}/root`;
}

/**
 * Gives the Deno in there the npm packages that ours has downloaded, and the name
 * that every machine has.
 */
async function prepare(root: string): Promise<void> {
  const hosts = "127.0.0.1 localhost\n::1 localhost\n";
  await Deno.writeTextFile(`${root}/etc/hosts`, hosts);
  const cwd = "/";
  const info = await runTool(Deno.execPath(), ["info", "--json"], { cwd });
  const { npmCache } = JSON.parse(info);
  const modules = `${root}${PLACES.modules}`;
  await Deno.mkdir(modules, { recursive: true });
  await runTool("cp", ["-R", npmCache, `${modules}/`], { cwd });
}

/**
 * A wine that is up as long as this is open. Without one each program starts it
 * anew, and what it starts holds the program's stdout.
 */
class Session implements AsyncDisposable {
  readonly #words: readonly string[];
  readonly #child: Deno.ChildProcess;

  private constructor(words: readonly string[]) {
    this.#words = words;
    const [program = "", ...args] = [...words, "wine", "explorer.exe"];
    this.#child = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  static async start(words: readonly string[]): Promise<Session> {
    const driver = ["HKCU\\Software\\Wine\\Drivers", "/v", "Graphics"];
    // Else wine complains on stderr, in every program, that there is no display.
    await Session.#do(words, [
      "wine",
      "reg",
      "add",
      ...driver,
      "/d",
      "null",
      "/f",
    ]);
    return new Session(words);
  }

  static async #do(
    words: readonly string[],
    more: readonly string[],
  ): Promise<void> {
    const [program = "", ...args] = [...words, ...more];
    await run(program, args, { cwd: "/" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Session.#do(this.#words, ["wineserver", "-k"]);
    await this.#child.status;
  }
}

if (import.meta.main) Deno.exit(await main(wine));
