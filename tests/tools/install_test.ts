/**
 * `scripts/install.sh` against a web server that serves a release, with the
 * tools that each test puts on its PATH.
 */

import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { makeArchives } from "../../scripts/release/archive.ts";
import type { Target } from "../../scripts/release/compile.ts";
import { documents } from "../../scripts/release/documents.ts";
import { releaseNotes } from "../../scripts/release/release_notes.ts";
import { testWith } from "../helpers/conditions.ts";
import { within } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";

const INSTALLER =
  new URL("../../scripts/release/install.sh", import.meta.url).pathname;

/** What the installer needs besides a shell and something that downloads. */
const TOOLS = (
  "awk chmod cp gzip mkdir mv rm sha256sum shasum tar"
).split(" ");

/** What `uname -s` and `uname -m` say on each system with this installer. */
const SYSTEMS: readonly (readonly [string, string, Target])[] = [
  ["Linux", "x86_64", "x86_64-unknown-linux-gnu"],
  ["Linux", "aarch64", "aarch64-unknown-linux-gnu"],
  ["Darwin", "x86_64", "x86_64-apple-darwin"],
  ["Darwin", "arm64", "aarch64-apple-darwin"],
];

const PROGRAM = '#!/bin/sh\necho "sockpipe 9.9.9 ($1)"\n';

/** The archive for {@linkcode SYSTEMS}' first. */
const ARCHIVE = "sockpipe-x86_64-unknown-linux-gnu.tar.gz";

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
class Release implements AsyncDisposable {
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

/** Asserts that the installer failed, said why, and left the old program alone. */
async function assertRefused(
  release: Release,
  reason: RegExp,
  env: Record<string, string> = {},
): Promise<void> {
  const bin = `${release.home}/.local/bin`;
  await Deno.mkdir(bin, { recursive: true });
  await Deno.writeTextFile(`${bin}/sockpipe`, "the old one");
  const { code, stdout, stderr } = await release.install(env);
  assertMatch(stderr, reason);
  assertEquals(code, 1);
  assertEquals(stdout, "");
  assertEquals(release.names(), ["sockpipe"]);
  assertEquals(await Deno.readTextFile(`${bin}/sockpipe`), "the old one");
}

testWith(
  ["curl"],
  "install.sh installs to ~/.local/bin and says so",
  async () => {
    await using release = await Release.of(PROGRAM);
    const bin = `${release.home}/.local/bin`;
    assertEquals(await release.install(), {
      code: 0,
      stdout: `sockpipe 9.9.9 (--version) is now ${bin}/sockpipe\n` +
        `${bin} is not in your PATH; to add it: export PATH="${bin}:$PATH"\n`,
      stderr: "",
    });
    assertEquals(release.names(), ["sockpipe"]);
    assertEquals(await Deno.readTextFile(`${bin}/sockpipe`), PROGRAM);
    const { mode } = await Deno.stat(`${bin}/sockpipe`);
    assertEquals((mode ?? 0) & 0o777, 0o755);
  },
);

testWith(
  ["curl"],
  "install.sh replaces the program in $PREFIX/bin",
  async () => {
    await using release = await Release.of(PROGRAM);
    const prefix = `${release.home}/a prefix`;
    await Deno.mkdir(`${prefix}/bin`, { recursive: true });
    await Deno.writeTextFile(`${prefix}/bin/sockpipe`, "the old one");
    const { code, stdout } = await release.install({
      PREFIX: prefix,
      PATH: `${release.tools}:${prefix}/bin`,
    });
    assertEquals(
      stdout,
      `sockpipe 9.9.9 (--version) is now ${prefix}/bin/sockpipe\n`,
    );
    assertEquals(code, 0);
    assertEquals(release.names("a prefix/bin"), ["sockpipe"]);
    assertEquals(await Deno.readTextFile(`${prefix}/bin/sockpipe`), PROGRAM);
    assertEquals(release.names(), []);
  },
);

testWith(
  ["curl"],
  "install.sh installs the man page and the completions as well",
  async () => {
    await using release = await Release.of(PROGRAM);
    assertEquals((await release.install()).code, 0);
    const share = ".local/share";
    const folders = {
      "man/man1": "sockpipe.1",
      "bash-completion/completions": "sockpipe",
      "zsh/site-functions": "_sockpipe",
      "fish/vendor_completions.d": "sockpipe.fish",
    };
    for (const [folder, name] of Object.entries(folders)) {
      assertEquals(release.names(`${share}/${folder}`), [name]);
    }
  },
);

testWith(
  ["curl"],
  "install.sh installs the program where the rest finds no room",
  async () => {
    await using release = await Release.of(PROGRAM);
    await Deno.mkdir(`${release.home}/.local`);
    await Deno.writeTextFile(`${release.home}/.local/share`, "in the way");
    const { code, stderr } = await release.install();
    assertMatch(stderr, /man1\/sockpipe\.1" is left out$/m);
    assertEquals(code, 0);
    assertEquals(release.names(), ["sockpipe"]);
  },
);

testWith(
  ["curl", "zstd"],
  "install.sh takes the smaller archive where zstd is there",
  async () => {
    await using release = await Release.of(PROGRAM);
    await release.has("zstd");
    const { code, stderr } = await release.install();
    assertEquals(stderr, "");
    assertEquals(code, 0);
    assertEquals(release.requests[1], `/v9/${ARCHIVE.replace(".gz", ".zst")}`);
    assertEquals(
      await Deno.readTextFile(`${release.home}/.local/bin/sockpipe`),
      PROGRAM,
    );
  },
);

for (const [system, machine, target] of SYSTEMS) {
  testWith(
    ["curl"],
    `install.sh takes ${target} on ${system} ${machine}`,
    async () => {
      await using release = await Release.of(PROGRAM);
      await release.runsOn(system, machine);
      const { code, stderr } = await release.install();
      assertEquals(stderr, "");
      assertEquals(code, 0);
      assertEquals(release.requests, [
        "/v9/SHA256SUMS",
        `/v9/sockpipe-${target}.tar.gz`,
      ]);
    },
  );
}

testWith(
  ["curl"],
  "install.sh refuses a system without a program",
  async () => {
    await using release = await Release.of(PROGRAM);
    await release.runsOn("FreeBSD", "amd64");
    await assertRefused(release, /Cannot install on "FreeBSD amd64"/);
    assertEquals(release.requests, []);
  },
);

testWith(
  ["curl"],
  "install.sh refuses a program with another checksum",
  async () => {
    await using release = await Release.of(PROGRAM);
    release.files.set(
      `/v9/${ARCHIVE}`,
      "an archive of somebody else",
    );
    await assertRefused(
      release,
      /its SHA-256 is [0-9a-f]{64} and not [0-9a-f]{64}$/m,
    );
  },
);

testWith(
  ["curl"],
  "install.sh refuses a program without a checksum",
  async () => {
    await using release = await Release.of(PROGRAM);
    const sums = String(release.files.get("/v9/SHA256SUMS"));
    release.files.set(
      "/v9/SHA256SUMS",
      sums.split("\n").filter((line) => !line.includes(ARCHIVE)).join("\n"),
    );
    await assertRefused(
      release,
      /Cannot verify ".*": SHA256SUMS does not name it/,
    );
  },
);

for (const name of ["SHA256SUMS", ARCHIVE]) {
  testWith(["curl"], `install.sh says that ${name} is missing`, async () => {
    await using release = await Release.of(PROGRAM);
    release.files.delete(`/v9/${name}`);
    await assertRefused(
      release,
      new RegExp(`404[^]*Cannot download "${release.url}/${name}"`),
    );
  });
}

testWith(
  ["curl"],
  "install.sh refuses a program that does not run",
  async () => {
    await using release = await Release.of("#!/bin/sh\nexit 126\n");
    await assertRefused(
      release,
      /it does not run on this system \(Linux needs glibc 2\.27, so not musl\)/,
    );
  },
);

testWith(
  ["curl"],
  "install.sh says when there is nothing to verify with",
  async () => {
    await using release = await Release.of(PROGRAM);
    for (const name of ["sha256sum", "shasum"]) {
      await Deno.remove(`${release.tools}/${name}`).catch(() => {});
    }
    await assertRefused(release, /neither sha256sum nor shasum is installed/);
  },
);

testWith(["wget"], "install.sh takes wget where curl is missing", async () => {
  await using release = await Release.of(PROGRAM);
  await release.hasNo("curl");
  await release.has("wget");
  const { code } = await release.install();
  assertEquals(code, 0);
  assertEquals(release.names(), ["sockpipe"]);
  release.files.delete(`/v9/SHA256SUMS`);
  await assertRefused(release, /404[^]*Cannot download/);
});

testWith(
  ["curl"],
  "install.sh says when there is nothing to download with",
  async () => {
    await using release = await Release.of(PROGRAM);
    await release.hasNo("curl");
    await assertRefused(release, /neither curl nor wget is installed/);
  },
);

testWith(
  ["curl"],
  "install.sh refuses to download by other means than the web",
  async () => {
    await using release = await Release.of(PROGRAM);
    await assertRefused(release, /neither https:\/\/ nor http:\/\/$/m, {
      SOCKPIPE_BASE_URL: "file:///v9",
    });
  },
);

testWith(
  ["curl"],
  "install.sh says when it does not know where releases are",
  async () => {
    await using release = await Release.of(PROGRAM);
    await assertRefused(release, /set SOCKPIPE_BASE_URL$/m, {
      SOCKPIPE_BASE_URL: "",
    });
  },
);

testWith(
  ["curl"],
  "install.sh finds the latest release and a given one",
  async () => {
    await using release = await Release.of(PROGRAM);
    // As the release workflow fills it in.
    const source = await Deno.readTextFile(INSTALLER);
    const script = `${release.home}/install.sh`;
    await Deno.writeTextFile(
      script,
      source.replace(/^releases=$/m, `releases=${release.url}`),
    );
    const env = { SOCKPIPE_BASE_URL: "" };
    await release.install(env, script);
    await release.install({ ...env, SOCKPIPE_VERSION: "v1.2.3" }, script);
    assertEquals(release.requests, [
      "/v9/latest/download/SHA256SUMS",
      "/v9/download/v1.2.3/SHA256SUMS",
    ]);
  },
);

testWith(["curl"], "install.sh does nothing when it was cut off", async () => {
  await using release = await Release.of(PROGRAM);
  const lines = (await Deno.readTextFile(INSTALLER)).trimEnd().split("\n");
  const script = `${release.home}/install.sh`;
  for (let count = 1; count < lines.length; count++) {
    await Deno.writeTextFile(script, lines.slice(0, count).join("\n"));
    const { stdout } = await release.install({}, script);
    assertEquals(stdout, "", `after ${count} lines`);
  }
  assertEquals(release.requests, []);
  assertEquals(release.names(), []);
});

const CHANGELOG = `# Changelog

## 0.2.0 (unreleased)

- Soon.

## 0.1.10 (2026-12-01)

- Ten.
- More.

## 0.1.1

`;

Deno.test("releaseNotes() gives the section of the version", () => {
  assertEquals(releaseNotes(CHANGELOG, "0.1.10"), "- Ten.\n- More.\n");
});

Deno.test("releaseNotes() refuses a version without notes or a release", () => {
  for (const version of ["0.1.1", "0.1", "0.3.0"]) {
    assertThrows(() => releaseNotes(CHANGELOG, version), Error, "has no notes");
  }
  assertThrows(() => releaseNotes(CHANGELOG, "0.2.0"), Error, "unreleased");
});
