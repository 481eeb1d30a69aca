/** The package for Debian and what comes of it. */

import { fileURLToPath } from "node:url";
import { setTimes } from "./archive.ts";
import { askGit } from "./commit.ts";
import type { Target } from "./compile.ts";
import { writeFiles } from "./documents.ts";
import type { Product } from "./product.ts";
import { run, runTool } from "./tool.ts";

const ROOT = new URL("../../", import.meta.url);

/** The architecture of a target, as Debian names it. */
const ARCHITECTURES: Partial<Record<Target, string>> = {
  "x86_64-unknown-linux-gnu": "amd64",
  "aarch64-unknown-linux-gnu": "arm64",
};

/** The places of the {@linkcode documents} after the installation. */
const PLACES: Record<string, string> = {
  "completions/sockpipe.bash": "usr/share/bash-completion/completions/sockpipe",
  "completions/_sockpipe": "usr/share/zsh/vendor-completions/_sockpipe",
  "completions/sockpipe.fish":
    "usr/share/fish/vendor_completions.d/sockpipe.fish",
  "sockpipe.1": "usr/share/man/man1/sockpipe.1",
  "CHANGELOG.md": "usr/share/doc/sockpipe/changelog",
};

/** The files that Debian wants to find compressed. */
const COMPRESSED = [
  "usr/share/man/man1/sockpipe.1",
  "usr/share/doc/sockpipe/changelog",
  "usr/share/doc/sockpipe/changelog.Debian",
];

/**
 * Makes `sockpipe_VERSION-1_ARCHITECTURE.deb`, for a Linux target.
 *
 * @returns Its name, in `product.dist`; none for a target that Debian has not.
 */
export async function makeDebian(product: Product): Promise<string[]> {
  const { target, version, dist, date, quick } = product;
  const architecture = ARCHITECTURES[target];
  if (architecture === undefined) return [];
  const name = `sockpipe_${version}-1_${architecture}.deb`;
  const tree = new URL(`${name}.tree/`, dist);
  try {
    await fill(tree, product);
    await writeControl(tree, product, architecture);
    await setTimes(tree, date);
    const level = quick ? ["-Zgzip", "-z1"] : ["-Zxz"];
    const paths = [tree, new URL(name, dist)].map((url) => fileURLToPath(url));
    const words = ["--root-owner-group", ...level, "--build", ...paths];
    const env = { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) };
    await runTool("dpkg-deb", words, { cwd: dist, env });
    return [name];
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

async function fill(tree: URL, product: Product): Promise<void> {
  const { documents, executable, version, date } = product;
  const files = Object.entries(PLACES)
    .map(([name, place]) => [place, documents.get(name) ?? ""] as const);
  await writeFiles(tree, [
    ...files,
    [
      "usr/share/doc/sockpipe/changelog.Debian",
      debianChangelog(version, await maintainer(), date),
    ],
    ["usr/share/doc/sockpipe/copyright", await copyright()],
    [
      "usr/share/lintian/overrides/sockpipe",
      await Deno.readTextFile(new URL("lintian-overrides", import.meta.url)),
    ],
  ]);
  for (const name of COMPRESSED) {
    await runTool("gzip", ["-9", "-n", name], { cwd: tree });
  }
  const program = new URL("usr/bin/sockpipe", tree);
  await Deno.mkdir(new URL(".", program), { recursive: true });
  await Deno.copyFile(executable, program);
  await makeModes(tree);
  await Deno.chmod(program, 0o755);
}

/** As Debian has them, whatever the umask is. */
async function makeModes(folder: URL): Promise<void> {
  await Deno.chmod(folder, 0o755);
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) await makeModes(new URL(`${name}/`, folder));
    else await Deno.chmod(new URL(name, folder), 0o644);
  }
}

/** The licence of this program and of the runtime that is in it. */
async function copyright(): Promise<string> {
  const text = await Deno.readTextFile(new URL("LICENSE", ROOT));
  return `${text}
The program holds the runtime of Deno (MIT license, copyright the Deno
authors), and with it V8 (BSD license, copyright the V8 project authors) and
the libraries that are named, with their licenses, in Deno's source.
`;
}

function debianChangelog(
  version: string,
  maintainer: string,
  date: Date,
): string {
  const day = date.toUTCString().replace("GMT", "+0000");
  return `sockpipe (${version}-1) unstable; urgency=medium

  * What is new stands in changelog.gz beside this file.

 -- ${maintainer}  ${day}
`;
}

/** Finds the maintainer: of `DEBFULLNAME` and `DEBEMAIL`, else of the last commit. */
async function maintainer(): Promise<string> {
  const committer = await askGit(["log", "-1", "--format=%cn%n%ce"]) ?? "";
  const [name = "", email = ""] = committer.split("\n");
  const { get } = Deno.env;
  return `${get("DEBFULLNAME") ?? name} <${get("DEBEMAIL") ?? email}>`;
}

async function writeControl(
  tree: URL,
  { version }: Product,
  architecture: string,
): Promise<void> {
  const { stdout } = await run("du", ["-sk", "usr"], { cwd: tree });
  const sums = await checksums(tree);
  await writeFiles(new URL("DEBIAN/", tree), [
    ["md5sums", sums],
    [
      "control",
      `Package: sockpipe
Version: ${version}-1
Section: net
Priority: optional
Architecture: ${architecture}
Maintainer: ${await maintainer()}
Installed-Size: ${stdout.split("\t")[0]}
Depends: libc6 (>= 2.27), libgcc-s1
Description: TCP pipe for the shell that is right about what arrived
 What comes in on stdin goes to the peer over TCP, what the peer sends comes
 out on stdout. One side listens, the other connects and tries again until it
 is there; both end by themselves, and the exit code tells whether the data
 was delivered. Encrypts, resumes what was cut off, serves many at once,
 forwards ports, runs commands for connections.
`,
    ],
  ]);
  await makeModes(new URL("DEBIAN/", tree));
}

async function checksums(tree: URL): Promise<string> {
  const words = ["-c", "find usr -type f | LC_ALL=C sort | xargs md5sum"];
  return await runTool("sh", words, { cwd: tree });
}
