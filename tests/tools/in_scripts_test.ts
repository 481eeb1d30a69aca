/** Every block of docs/in-scripts.md, run as it stands. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import { run } from "../helpers/process.ts";
import {
  allZero,
  DISK,
  type Outcome,
  photosArrived,
  readDocument,
  sameFile,
  together,
} from "../helpers/recipes.ts";

/** The blocks of a section, by the language that is written at their fence. */
type Blocks = Readonly<Record<string, string>>;

/** How a section is tried. */
interface Trial {
  /** Programs without which it cannot be tried. */
  readonly needs?: readonly string[];
  /** Shell scripts that run beside each other. */
  readonly scripts: (blocks: Blocks) => readonly string[];
  readonly check: (outcomes: readonly Outcome[]) => Promise<void> | void;
}

const DATABASE = "sockpipe --listen 5432";
const SEND_DISK = "sockpipe --connect there:32000 < disk.img";

const TRIALS: Record<string, Trial> = {
  "Wait for a service": {
    scripts: ({ sh = "", yaml = "" }) => [
      `${DATABASE} --keep-open --connections 2`,
      sh,
      /run: (.*)/.exec(yaml)?.[1] ?? "exit 99",
    ],
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[1]?.stdout, "in psql\n");
      assertMatch(outcomes[2]?.stderr ?? "", /127\.0\.0\.1:5432 is there/);
    },
  },
  "Wait for a service in make": {
    needs: ["make"],
    scripts: ({ make = "" }) => [
      DATABASE,
      `cat > Makefile <<'END'\n${make}END
      printf '#!/bin/sh\\necho tested\\n' > run-tests; chmod +x run-tests
      make --silent`,
    ],
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[1]?.stdout, "tested\n");
    },
  },
  "The health of a container": {
    scripts: ({ dockerfile = "" }) => {
      const command = /CMD (.*)/.exec(dockerfile)?.[1] ?? "exit 99";
      // The second time nobody is there any more.
      return [
        "sockpipe --listen 8080",
        `( ${command} ); echo $?; ( ${command} ); echo $?`,
      ];
    },
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[1]?.stdout, "0\n1\n");
    },
  },
  "A nightly copy by cron": {
    scripts: ({ cron = "", sh = "" }) => [
      sh,
      // cron runs it by sh, without a terminal.
      `sh -c '${cron.trim().replace(/^(\S+\s+){5}/, "")}'`,
    ],
    check: async (outcomes) => {
      await photosArrived(outcomes);
      assertEquals([outcomes[1]?.stdout, outcomes[1]?.stderr], ["", ""]);
    },
  },
  "A service of systemd": {
    scripts: ({ ini = "" }) => {
      const [, words = "exit 99"] = /ExecStart=\S*\/(.*)/.exec(ini) ?? [];
      return [
        `${words} > collected & service=$!
        until grep -q second collected 2> /dev/null; do sleep 0.05; done
        kill -TERM $service; wait $service; echo "$?"`,
        "echo first | sockpipe --connect there:9000 && echo second | sockpipe --connect there:9000",
      ];
    },
    check: async (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[0]?.stdout, "143\n");
      const collected = await Deno.readTextFile(
        `${outcomes[0]?.work}collected`,
      );
      assertEquals(collected, "first\nsecond\n");
    },
  },
  "The way of ssh to a server": {
    needs: ["ssh"],
    // With a real server: tests/program/net/proxy_test.ts.
    scripts: ({ sshconfig = "" }) => [
      "sockpipe --listen 22 --message 'no server of ssh'",
      `cat > config <<'END'\n${sshconfig}END
      ssh -F config there || echo $?`,
    ],
    check: (outcomes) => {
      assertMatch(outcomes[0]?.stdout ?? "", /^SSH-2\.0-/);
      assertEquals(outcomes[1]?.stdout, "255\n");
    },
  },
  "A conversation with a coprocess of bash": {
    scripts: ({ sh = "" }) => [
      `sockpipe --listen 7000 --exec 'read -r question; echo "you asked: $question"; cat'`,
      sh,
    ],
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(
        outcomes[1]?.stdout,
        "you asked: who are you?; exit code 0\n",
      );
    },
  },
  "Which part of a pipeline failed": {
    scripts: (
      { sh = "" },
    ) => [sh, `gzip -1 < disk.img | ${SEND_DISK.replace(/ <.*/, "")}`],
    check: async (outcomes) => {
      assertEquals(outcomes[0]?.stdout, "complete\n");
      await sameFile(`${outcomes[0]?.work}disk.img`, DISK);
    },
  },
  "In the background, without a terminal": {
    scripts: ({ sh = "" }) => [sh, SEND_DISK],
    check: async (outcomes) => {
      assertEquals(outcomes[0]?.stdout, "received\n");
      await sameFile(`${outcomes[0]?.work}disk.img`, DISK);
    },
  },
  "Totals for a monitor": {
    needs: ["jq"],
    scripts: ({ sh = "" }) => [sh, SEND_DISK],
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[0]?.stdout, "300000 bytes, delivered\n");
    },
  },
};

const FENCE = /^```(\w+)\n([\s\S]*?)^```$/gm;

const sections = (await readDocument("docs/in-scripts.md")).split(/^## /m)
  .slice(1).map((section) => ({
    title: section.split("\n")[0] ?? "",
    blocks: Object.fromEntries(
      [...section.matchAll(FENCE)].map((
        [, language, text],
      ) => [language, text]),
    ) as Blocks,
    count: [...section.matchAll(FENCE)].length,
  }));

Deno.test("every section of docs/in-scripts.md has a trial, and no other", () => {
  assertEquals(sections.map(({ title }) => title), Object.keys(TRIALS));
  for (const { title, blocks, count } of sections) {
    assertEquals(Object.keys(blocks).length, count, title);
  }
});

for (const { title, blocks } of sections) {
  const trial = TRIALS[title];
  if (trial === undefined) continue;
  const { needs = [], scripts, check } = trial;
  testWith(
    ["unshare", "ip", ...needs],
    `docs/in-scripts.md: ${title}`,
    async () => {
      // Every block is part of what is run.
      let used = 0;
      const counted = new Proxy(blocks, {
        get: (target, language) => {
          used++;
          return target[String(language)];
        },
      });
      using folder = new Folder();
      await check(await together(folder, scripts(counted)));
      assertEquals(used, Object.keys(blocks).length);
    },
  );
}

testWith(
  ["systemd-analyze"],
  "docs/in-scripts.md: the units are clean for systemd",
  async () => {
    using folder = new Folder();
    for (const { title, blocks: { ini } } of sections) {
      if (ini === undefined) continue;
      const path = `${folder.path}/sockpipe.service`;
      const program = `${import.meta.dirname}/../bin/sockpipe`;
      const text = ini.replaceAll("/usr/bin/sockpipe", program);
      assert(text !== ini, title);
      await Deno.writeTextFile(path, text);
      await using verify = run(["systemd-analyze", "verify", "--man=no", path]);
      const { code, stderr } = await verify.result();
      const said = stderr.split("\n").filter((line) =>
        line.includes(path.replace(/.*\//, ""))
      );
      assertEquals([code, said], [0, []], stderr);
    }
  },
);
