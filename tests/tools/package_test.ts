/**
 * The packages that `task package` makes: each is installed, used and removed.
 * The executable in them is that of SOCKPIPE_BIN, else a script that starts the
 * modules.
 */

import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { makeArchives } from "../../scripts/release/archive.ts";
import {
  assertFitForRelease,
  stage,
  type Target,
} from "../../scripts/release/compile.ts";
import { makeDebian } from "../../scripts/release/debian.ts";
import { documents } from "../../scripts/release/documents.ts";
import {
  homebrewFormula,
  type Release,
  scoopManifest,
} from "../../scripts/release/manifests.ts";
import { makeNpmPackage } from "../../scripts/release/npm_package.ts";
import type { Product } from "../../scripts/release/product.ts";
import { run as runProgram, runTool } from "../../scripts/release/tool.ts";
import { mapFlags } from "../../scripts/deno.ts";
import standIns from "../../scripts/npm_only/import_map.json" with {
  type: "json",
};
import { programCommand } from "../../scripts/program.ts";
import { testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import { run } from "../helpers/process.ts";

const { version } = config;
const LINUX = "x86_64-unknown-linux-gnu";
const DATE = new Date("2026-11-26T12:00:00Z");

/** What is packaged into a folder. */
async function productIn(
  folder: Folder,
  target: Target = LINUX,
): Promise<Product> {
  const dist = pathToFileURL(`${folder.path}/`);
  const executable = new URL("executable", dist);
  const binary = Deno.env.get("SOCKPIPE_BIN");
  if (binary !== undefined) await Deno.copyFile(binary, executable);
  else {
    const words = (await programCommand()).map((word) => `'${word}'`);
    const script = `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`;
    await Deno.writeTextFile(executable, script);
  }
  const texts = await documents(DATE);
  return {
    executable,
    target,
    documents: texts,
    version,
    date: DATE,
    dist,
    quick: true,
  };
}

/** The longest that a tool may take over an executable of 85 MB, in ms. */
const TOOL_LIMIT_MS = 120_000;

/** What a program that has to succeed prints. */
async function output(...words: [string, ...string[]]): Promise<string> {
  await using process = run(words);
  const code = await process.code(TOOL_LIMIT_MS);
  assertEquals(code, 0, `${words.join(" ")}: ${process.stderr.text()}`);
  return process.stdout.text();
}

/** Whether two started programs say something to each other, both ways. */
async function assertTalks(program: string): Promise<void> {
  await using server = run([program, "--listen", "0"], { stdin: "answer" });
  const { address } = await server.listening();
  await using client = run([program, "--connect", address], {
    stdin: "question",
  });
  assertEquals(await client.result(), {
    code: 0,
    stdout: "answer",
    stderr: "",
  });
  assertEquals(await server.code(), 0);
  assertEquals(server.stdout.text(), "question");
}

for (const [extension, unpack] of [["gz", "-z"], ["zst", "--zstd"]] as const) {
  testWith(
    ["tar", "gzip", "zstd"],
    `makeArchives() makes a tar.${extension} with program, man page and completions`,
    async () => {
      using folder = new Folder();
      const names = await makeArchives(await productIn(folder));
      const name = `sockpipe-${LINUX}.tar.${extension}`;
      assert(names.includes(name), names.join());
      const { path } = folder;
      await output("tar", "-C", path, unpack, "-xf", `${path}/${name}`);
      const root = `${path}/sockpipe-${LINUX}`;
      assertMatch(
        await output(`${root}/sockpipe`, "--version"),
        new RegExp(`^sockpipe ${version}`),
      );
      assertMatch(await Deno.readTextFile(`${root}/sockpipe.1`), /^\.TH/);
      for (const name of ["sockpipe.bash", "_sockpipe", "sockpipe.fish"]) {
        assert((await Deno.stat(`${root}/completions/${name}`)).size > 0);
      }
    },
  );
}

testWith(
  ["tar", "gzip", "zstd"],
  "makeArchives() makes the same bytes of the same files",
  async () => {
    const made = async () => {
      using folder = new Folder();
      const product = await productIn(folder);
      const names = await makeArchives(product);
      return await runTool("sha256sum", names, { cwd: product.dist });
    };
    assertEquals(await made(), await made());
  },
);

testWith(
  ["zip", "unzip"],
  "makeArchives() makes a zip for Windows",
  async () => {
    using folder = new Folder();
    const target = "x86_64-pc-windows-msvc";
    const names = await makeArchives(await productIn(folder, target));
    assertEquals(names, [`sockpipe-${target}.zip`]);
    const list = await output("unzip", "-Z1", `${folder.path}/${names[0]}`);
    assertMatch(list, /^sockpipe-x86_64-pc-windows-msvc\/sockpipe\.exe$/m);
  },
);

/** A folder that dpkg takes for a system without packages. */
async function emptySystem(folder: Folder): Promise<string> {
  const root = `${folder.path}/root`;
  for (const name of ["updates", "info", "triggers"]) {
    await Deno.mkdir(`${root}/var/lib/dpkg/${name}`, { recursive: true });
  }
  await Deno.writeTextFile(`${root}/var/lib/dpkg/status`, "");
  return root;
}

/** The paths of the files below a folder that a package brings. */
async function installedFiles(root: string): Promise<string> {
  return await output("find", root, "-not", "-type", "d", "-path", "*/usr/*");
}

testWith(
  ["dpkg", "dpkg-deb", "fakeroot"],
  "makeDebian() makes a package that dpkg installs and removes",
  async () => {
    using folder = new Folder();
    const [name] = await makeDebian(await productIn(folder));
    assertEquals(name, `sockpipe_${version}-1_amd64.deb`);
    const root = await emptySystem(folder);
    const dpkg = (...words: string[]) =>
      output("fakeroot", "dpkg", `--root=${root}`, "--force-depends", ...words);
    await dpkg("--install", `${folder.path}/${name}`);
    await assertTalks(`${root}/usr/bin/sockpipe`);
    const files = await installedFiles(root);
    for (
      const name of [
        "man/man1/sockpipe.1.gz",
        "bash-completion/completions/sockpipe",
        "zsh/vendor-completions/_sockpipe",
        "fish/vendor_completions.d/sockpipe.fish",
        "doc/sockpipe/copyright",
      ]
    ) assert(files.includes(`${root}/usr/share/${name}\n`), name);
    await dpkg("--verify", "sockpipe");
    await dpkg("--purge", "sockpipe");
    assertEquals(await installedFiles(root), "");
  },
);

testWith(
  ["lintian", "dpkg-deb"],
  "makeDebian() makes a package in which lintian finds nothing",
  async () => {
    using folder = new Folder();
    Deno.env.set("DEBEMAIL", "sockpipe@packages.debian.org");
    const [name] = await makeDebian(await productIn(folder)).finally(() =>
      Deno.env.delete("DEBEMAIL")
    );
    const words = ["lintian", "--allow-root", "--fail-on=error,warning"];
    const user = Deno.uid() === 0 ? words : words.filter((w) => w !== words[1]);
    const [program = "", ...rest] = [...user, `${folder.path}/${name}`];
    assertEquals(await output(program, ...rest), "");
  },
);

/** npm's package, installed in a folder as a user would. */
async function withNpmPackage(
  use: (program: string) => Promise<void>,
): Promise<void> {
  using folder = new Folder();
  const { dist, ...product } = await productIn(folder);
  const tree = await stage();
  const name = await makeNpmPackage({ ...product, dist, tree }).finally(() =>
    Deno.remove(tree, { recursive: true })
  );
  const place = `${folder.path}/place`;
  await Deno.mkdir(place);
  const words = ["install", "--prefer-offline", "--no-audit", "--no-fund"];
  const tarball = fileURLToPath(new URL(name, dist));
  await runTool("npm", [...words, "--prefix", place, tarball], { cwd: place });
  await use(`${place}/node_modules/.bin/sockpipe`);
}

testWith(
  ["npm"],
  "the package of npm does both roles, and passes on exit codes and signals",
  async () => {
    await withNpmPackage(async (program) => {
      assertMatch(
        await output(program, "--version"),
        new RegExp(`^sockpipe ${version}`),
      );
      await assertTalks(program);
      for (
        const [code, ...args] of [
          [2, "--frobnicate"],
          [3, "--connect", "1", "--retries", "0"],
          [5, "--listen", "0", "--accept-timeout", "10ms"],
        ] as const
      ) {
        await using failing = run([program, ...args]);
        assertEquals(await failing.code(), code, args.join(" "));
      }
      for (
        const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const
      ) {
        await using waiting = run([program, "--listen", "0"]);
        const { address } = await waiting.listening();
        waiting.kill(signal);
        assertEquals(await waiting.code(), code);
        await using late = run([program, "--connect", address, "--retries=0"]);
        assertEquals(await late.code(), 3, "nobody is left that listens");
      }
    });
  },
);

/** A copy of what git knows, in which the imports need no JSR where ours do not. */
async function checkout(folder: Folder): Promise<string> {
  const { path } = folder;
  const script = 'git ls-files -z | tar --null -T - -c | tar -x -C "$1"';
  const cwd = new URL("../../", import.meta.url);
  await runTool("sh", ["-c", script, "sh", path], { cwd });
  const flags = await mapFlags();
  if (flags.length > 0) {
    const imports = Object.fromEntries(
      Object.entries(standIns.imports)
        .map(([name, file]) => [name, `./scripts/npm_only/${file}`]),
    );
    const publish = {
      include: [...config.publish.include, "scripts/npm_only/"],
    };
    await Deno.writeTextFile(
      `${path}/deno.json`,
      JSON.stringify({ ...config, imports, publish }),
    );
    await Deno.remove(`${path}/deno.lock`);
  }
  return path;
}

testWith(
  ["git", "tar"],
  "JSR takes the modules without a warning",
  async () => {
    using folder = new Folder();
    const cwd = await checkout(folder);
    const words = ["publish", "--dry-run", "--allow-dirty"];
    const { success, stderr } = await runProgram(Deno.execPath(), words, {
      cwd,
    });
    assert(success, stderr);
    assert(!/warning/i.test(stderr), stderr);
    assert(!stderr.includes("/tests/"), "only what the program needs");
  },
);

/** The right to chroot, which root has, and an executable to do it with. */
const canChroot = Deno.build.os === "linux" && Deno.uid() === 0 &&
  Deno.env.has("SOCKPIPE_BIN");

Deno.test({
  name:
    "container_root.sh makes a root in which the executable works for nobody",
  ignore: !canChroot,
  async fn() {
    using folder = new Folder();
    const root = `${folder.path}/root`;
    const script = new URL(
      "../../scripts/release/container_root.sh",
      import.meta.url,
    ).pathname;
    const executable = Deno.env.get("SOCKPIPE_BIN") ?? "";
    await output("sh", script, await Deno.realPath(executable), root);
    await Deno.mkdir(`${root}/proc`);
    const contain = `${folder.path}/contain`;
    await Deno.writeTextFile(
      contain,
      `#!/bin/sh
exec unshare --mount sh -c '
  mount -t proc proc "$1/proc" && root=$1 && shift &&
    exec chroot --userspec=65532:65532 "$root" /usr/bin/sockpipe "$@"
' sh ${root} "$@"
`,
      { mode: 0o755 },
    );
    await assertTalks(contain);
    const all = await output("find", root, "-name", "*sh", "-type", "f");
    assertEquals(all, "", "there is no shell");
  },
});

const RELEASE: Release = {
  version,
  homepage: "https://example.org/sockpipe",
  url: "https://example.org/sockpipe/releases/download/v1",
  sums: new Map([
    ["sockpipe-aarch64-apple-darwin.tar.gz", "a".repeat(64)],
    ["sockpipe-x86_64-apple-darwin.tar.gz", "b".repeat(64)],
    ["sockpipe-aarch64-unknown-linux-gnu.tar.gz", "c".repeat(64)],
    ["sockpipe-x86_64-unknown-linux-gnu.tar.gz", "d".repeat(64)],
    ["sockpipe-x86_64-pc-windows-msvc.zip", "e".repeat(64)],
  ]),
};

Deno.test("scoopManifest() names the zip, its folder and its sum", () => {
  const manifest = JSON.parse(scoopManifest(RELEASE));
  assertEquals(manifest.version, version);
  assertEquals(manifest.architecture["64bit"], {
    url: `${RELEASE.url}/sockpipe-x86_64-pc-windows-msvc.zip`,
    hash: "e".repeat(64),
    extract_dir: "sockpipe-x86_64-pc-windows-msvc",
  });
});

Deno.test("homebrewFormula() has each archive with its own sum", () => {
  const formula = homebrewFormula(RELEASE);
  for (const [name, sum] of RELEASE.sums) {
    if (name.endsWith(".zip")) continue;
    const source = `url "${RELEASE.url}/${name}"\n      sha256 "${sum}"`;
    assert(formula.includes(source), name);
  }
});

testWith(["ruby"], "homebrewFormula() is Ruby", async () => {
  using folder = new Folder();
  const path = `${folder.path}/sockpipe.rb`;
  await Deno.writeTextFile(path, homebrewFormula(RELEASE));
  assertEquals(await output("ruby", "-c", path), "Syntax OK\n");
});

Deno.test("homebrewFormula() and scoopManifest() refuse a release without a sum", () => {
  const release = { ...RELEASE, sums: new Map() };
  assertThrows(() => homebrewFormula(release), Error, "the sum of");
  assertThrows(() => scoopManifest(release), Error, "the sum of");
});

Deno.test("assertFitForRelease() refuses a Deno before 2.9", () => {
  for (const old of ["2.4.2", "2.8.10", "1.46.3"]) {
    assertThrows(() => assertFitForRelease(old), Error, `with Deno ${old}:`);
  }
  for (const fit of ["2.9.0", "2.10.1", "3.0.0"]) assertFitForRelease(fit);
});
