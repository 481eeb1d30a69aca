/** A release to install: archives on a web server, and a machine with few tools. */

import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { makeArchives } from "../../scripts/release/archive.ts";
import type { Target } from "../../scripts/release/compile.ts";
import { documents } from "../../scripts/release/documents.ts";
import { within } from "./deadlines.ts";
import { Folder } from "./folder.ts";

export const INSTALLER =
  new URL("../../scripts/release/install.sh", import.meta.url).pathname;

/** What the installer needs besides a shell and something that downloads. */
const TOOLS = (
  "awk chmod cp gzip mkdir mv rm sha256sum shasum tar"
).split(" ");

/** What `uname -s` and `uname -m` say on each system with this installer. */
export const SYSTEMS: readonly (readonly [string, string, Target])[] = [
  ["Linux", "x86_64", "x86_64-unknown-linux-gnu"],
  ["Linux", "aarch64", "aarch64-unknown-linux-gnu"],
  ["Darwin", "x86_64", "x86_64-apple-darwin"],
  ["Darwin", "arm64", "aarch64-apple-darwin"],
];

export const PROGRAM = '#!/bin/sh\necho "sockpipe 9.9.9 ($1)"\n';

/** The archive for {@linkcode SYSTEMS}' first. */
export const ARCHIVE = "sockpipe-x86_64-unknown-linux-gnu.tar.gz";

/** What {@linkcode archivesOf} has made, by program. */
const made = new Map<string, Promise<Map<string, Uint8Array<ArrayBuffer>>>>();

/** The archives of a release with one program for all, by name. */
async function archivesOf(
  program: string,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  using folder = new Folder();
  const dist = pathToFileURL(`${folder.path}/`);
  const executable = new URL("executable", dist);
  await Deno.writeTextFile(executable, program);
  const date = new Date(0);
  const common = { executable, dist, date, version: config.version };
  const texts = await documents(date);
  const archives = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [, , target] of SYSTEMS) {
    const product = { ...common, target, documents: texts, quick: true };
    for (const name of await makeArchives(product)) {
      archives.set(name, await Deno.readFile(new URL(name, dist)));
    }
  }
  return archives;
}

/** A release on a web server, with a home and a PATH to install it with. */
export class Release implements AsyncDisposable {
  /** The files of the release; what is not here is 404. */
  readonly files = new Map<string, string | Uint8Array<ArrayBuffer>>();
  /** The paths that were asked for. */
  readonly requests: string[] = [];
  readonly #folder = new Folder();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => this.#answer(new URL(request.url).pathname),
  );

  /** Serves one program for every system. */
  static async of(program: string): Promise<Release> {
    const release = new Release();
    if (!made.has(program)) made.set(program, archivesOf(program));
    let sums = "";
    for (const [name, bytes] of await made.get(program) ?? []) {
      const digest = createHash("sha256").update(bytes).digest("hex");
      release.files.set(`/v9/${name}`, bytes);
      sums += `${digest}  ${name}\n`;
    }
    release.files.set("/v9/SHA256SUMS", sums);
    await Deno.mkdir(`${release.#folder.path}/tools`);
    await release.has(...TOOLS, "curl");
    await release.runsOn("Linux", "x86_64");
    return release;
  }

  #answer(path: string): Response {
    this.requests.push(path);
    const body = this.files.get(path);
    return new Response(body, { status: body === undefined ? 404 : 200 });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/v9`;
  }

  get home(): string {
    return this.#folder.path;
  }

  get tools(): string {
    return `${this.#folder.path}/tools`;
  }

  /** Puts programs of this machine on the PATH, if it has them. */
  async has(...programs: string[]): Promise<void> {
    const { stdout } = await new Deno.Command("/bin/sh", {
      args: ["-c", 'for name; do command -v "$name"; done', "sh", ...programs],
    }).output();
    for (const path of new TextDecoder().decode(stdout).trim().split("\n")) {
      await Deno.symlink(path, `${this.tools}/${path.split("/").at(-1)}`);
    }
  }

  /** Takes a program off the PATH. */
  async hasNo(program: string): Promise<void> {
    await Deno.remove(`${this.tools}/${program}`);
  }

  /** Makes uname say that this is another system. */
  async runsOn(system: string, machine: string): Promise<void> {
    const script =
      `#!/bin/sh\n[ $1 = -s ] && echo ${system} || echo ${machine}\n`;
    await Deno.writeTextFile(`${this.tools}/uname`, script, { mode: 0o755 });
  }

  /** Runs the installer, or another script. */
  async install(
    env: Record<string, string> = {},
    script: string = INSTALLER,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await within(
      new Deno.Command("/bin/sh", {
        args: [script],
        clearEnv: true,
        env: {
          HOME: this.home,
          PATH: this.tools,
          SOCKPIPE_BASE_URL: this.url,
          ...env,
        },
      }).output(),
      "the end of install.sh",
    );
    const decoder = new TextDecoder();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  }

  /** The names in a folder below the home; none if there is no such folder. */
  names(folder = ".local/bin"): string[] {
    try {
      const entries = Deno.readDirSync(`${this.home}/${folder}`);
      return [...entries].map(({ name }) => name).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    this.#folder[Symbol.dispose]();
  }
}
