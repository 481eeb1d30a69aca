/**
 * `scripts/install.sh` against a web server that serves a release, with the
 * tools that each test puts on its PATH.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../helpers/conditions.ts";
import {
  ARCHIVE,
  INSTALLER,
  PROGRAM,
  Release,
  SYSTEMS,
} from "../helpers/release.ts";

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
