/** The package for npm: the modules, and npm's Deno to run them. */

import { fileURLToPath } from "node:url";
import { setTimes } from "./archive.ts";
import { MAIN, PERMISSIONS } from "./compile.ts";
import { type Documents, writeFiles } from "./documents.ts";
import { runTool } from "./tool.ts";

const LAUNCHER = new URL("npm/sockpipe.cjs", import.meta.url);

/** The documents that npm shows or installs. */
const DOCUMENTS = ["CHANGELOG.md", "LICENSE", "README.md", "sockpipe.1"];

/** The contents of the package. */
export interface NpmPackage {
  /** A folder from `stage()`, with the trailing slash. */
  readonly tree: URL;
  readonly documents: Documents;
  readonly version: string;
  readonly date: Date;
  /** The folder for the tarball, with the trailing slash. */
  readonly dist: URL;
}

/**
 * Makes `sockpipe-VERSION.tgz`, which `npm install` and `npx` take.
 *
 * @returns Its name, in `dist`.
 */
export async function makeNpmPackage(made: NpmPackage): Promise<string> {
  const { dist, date } = made;
  const folder = new URL("npm.tree/", dist);
  try {
    await fill(folder, made);
    await setTimes(folder, date);
    const words = ["pack", "--silent", "--pack-destination"];
    const name = await runTool("npm", [...words, fileURLToPath(dist)], {
      cwd: folder,
    });
    return name.trim();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function fill(folder: URL, made: NpmPackage): Promise<void> {
  const { tree, documents, version } = made;
  const texts = [...documents].filter(([name]) => DOCUMENTS.includes(name));
  await writeFiles(folder, [
    ...texts,
    ["package.json", JSON.stringify(manifest(version), null, 2) + "\n"],
    ["bin/sockpipe.cjs", await Deno.readTextFile(LAUNCHER)],
  ]);
  await Deno.chmod(new URL("bin/sockpipe.cjs", folder), 0o755);
  const program = new URL("program/", folder);
  await Deno.mkdir(program);
  for await (const { name } of Deno.readDir(tree)) {
    if (!name.endsWith(".js")) continue;
    await Deno.copyFile(new URL(name, tree), new URL(name, program));
  }
}

function manifest(version: string): Record<string, unknown> {
  const deno = ["run", "--quiet", "--no-config", "--no-lock", ...PERMISSIONS];
  return {
    name: "sockpipe",
    version,
    description:
      "A TCP pipe for the shell whose exit code tells whether the data arrived",
    license: "MIT",
    keywords: ["tcp", "netcat", "pipe", "socket", "tls", "cli"],
    bin: { sockpipe: "bin/sockpipe.cjs" },
    man: "sockpipe.1",
    files: ["bin", "program", "sockpipe.1", "CHANGELOG.md"],
    engines: { node: ">=18" },
    config: { deno: [...deno, `program/${MAIN}`].join(" ") },
    dependencies: { deno: Deno.version.deno },
  };
}
