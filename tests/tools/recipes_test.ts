/**
 * The recipes of the documents, run as they stand: each in a network of its own, in
 * which `here` and `there` are this machine and all ports are free.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import {
  allZero,
  DISK,
  diskArrived,
  FENCE,
  type Outcome,
  photosArrived,
  readDocument,
  REPORT,
  sameFile,
  together,
} from "../helpers/recipes.ts";

/** A recipe as a document has it. */
interface Recipe {
  readonly title: string;
  /** What each shell runs. */
  readonly scripts: readonly string[];
}

/** How a recipe is tried. */
interface Trial {
  /** Shells that run before those of the recipe, or after them. */
  readonly before?: string;
  readonly after?: string;
  /** Removed from each working directory first, so that it must arrive. */
  readonly check: (outcomes: readonly Outcome[]) => Promise<void> | void;
  /** Programs without which it cannot be tried. */
  readonly needs?: readonly string[];
  /** The shells of the recipe have one directory in common. */
  readonly apart?: boolean;
}

/** The recipes of docs/recipes.md: under each heading, one fence for each shell. */
function recipesUnderHeadings(text: string): Recipe[] {
  return text.split(/^## /m).slice(1).map((section) => ({
    title: section.split("\n")[0] ?? "",
    scripts: [...section.matchAll(FENCE)].map(([, script = ""]) => script),
  }));
}

/**
 * The recipes of the README: a bold title and one fence; where the first line
 * listens, each line is for a shell of its own.
 */
function recipesOfReadme(text: string): Recipe[] {
  const [, recipes = ""] = /^## Recipes$([\s\S]*?)^## /m.exec(text) ?? [];
  return recipes.split(/^(?=\*\*)/m).slice(1).map((section) => {
    const [, title = ""] = /^\*\*(.+?)\.?\*\*/s.exec(section) ?? [];
    const [[, script = ""] = []] = [...section.matchAll(FENCE)];
    const lines = script.trimEnd().split("\n");
    const isShared =
      /^sockpipe --listen [^|&]*(\||$|<|#)/.test(lines[0] ?? "") &&
      lines.length > 1;
    return {
      title: title.replaceAll(/\s+/g, " "),
      scripts: isShared ? lines : [script],
    };
  });
}

const DOCS_TRIALS: Record<string, Trial> = {
  "Send a directory, and see how far it is": {
    check: async (outcomes) => {
      await photosArrived(outcomes);
      assertMatch(outcomes[1]?.stderr ?? "", /sent \d+ bytes/);
    },
  },
  "Send a file, with a percentage and the time left": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      assertMatch(outcomes[1]?.stderr ?? "", /sent 300000 bytes.*; 100%\n$/);
    },
  },
  "Send it compressed": { check: diskArrived },
  "Be sure that it arrived": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      assertEquals(outcomes.map(({ stdout }) => stdout), [
        "complete\n",
        "confirmed\n",
      ]);
    },
  },
  "Send a disk image that survives a crash": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      assertEquals(outcomes[1]?.stdout, "confirmed\n");
    },
  },
  "Back up 100 GB over a bad line": {
    check: async (outcomes) => {
      allZero(outcomes);
      const { size } = await Deno.stat(`${outcomes[0]?.work}photos.tar`);
      assert(size > 5000);
    },
  },
  "Be sure that it is on the disk": {
    check: async (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[1]?.stdout, "on the disk there\n");
      await sameFile(`${outcomes[0]?.work}backup.img`, DISK);
    },
  },
  "Send an archive that survives a crash": {
    check: (outcomes) => {
      allZero(outcomes);
      assertMatch(outcomes[1]?.stdout ?? "", /^not proven.*\nsent \d+ bytes/);
    },
  },
  "Both ways at once": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      await sameFile(`${outcomes[1]?.work}report.pdf`, REPORT);
    },
  },
  "Leave some of the line to others": { check: diskArrived },
  "Ask a running transfer how far it is": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      assertMatch(outcomes[1]?.stdout ?? "", /connected to/);
    },
  },
  "Find out which part is slow": {
    check: async (outcomes) => {
      allZero(outcomes);
      using file = await Deno.open(`${outcomes[0]?.work}disk.img.gz`);
      const disk = file.readable.pipeThrough(new DecompressionStream("gzip"));
      assertEquals(await new Response(disk).bytes(), DISK);
    },
  },
  "Follow a transfer from a script": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      const last = JSON.parse(outcomes[0]?.stdout ?? "");
      assertEquals([last.event, last.received], ["closed", 300_000]);
    },
  },
  "Wait for a service": {
    before: "sockpipe --listen 5432",
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[1]?.stdout, "in psql\n");
    },
  },
  "Watch a listener for many": {
    check: async (outcomes) => {
      allZero(outcomes);
      const all = await Deno.readTextFile(`${outcomes[0]?.work}all.log`);
      assertEquals(all.trim().split("\n"), ["line 1", "line 2"]);
      assertMatch(outcomes[0]?.stderr ?? "", /received 12 bytes.* 2 clients;/);
    },
  },
  "See what two programs say to each other": {
    before: "sockpipe --listen :80 --message 'HTTP/1.0 200 OK'",
    check: (outcomes) => {
      allZero(outcomes);
      assertMatch(outcomes[1]?.stdout ?? "", /^< .*\|HTTP\/1.0 200 OK\|$/m);
    },
  },
  "Do not wait for ever": {
    check: ([only]) => assertEquals(only?.stdout, "failed with 5\n"),
  },
  "Hand a port to a script": {
    check: ([only]) => assertMatch(only?.stdout ?? "", /^to port \d+$/),
  },
};

/** The recipes of docs/recipes.md that take more: tests/program/exec. */
const TRIED_ELSEWHERE = [
  "Reach an ssh server",
  "Run an ssh server for each client",
  "Serve a folder to rsync",
];

const README_TRIALS: Record<string, Trial> = {
  "Send a directory": { check: photosArrived },
  "Back up without ssh": {
    check: async (outcomes) => {
      allZero(outcomes);
      const { size } = await Deno.stat(`${outcomes[0]?.work}photos.tar`);
      assert(size > 5000);
    },
  },
  "Send a disk image, compressed, with a meter in between": {
    needs: ["pv"],
    check: diskArrived,
  },
  "Chat": { check: allZero },
  "Wait for a service in a script": {
    before: "sockpipe --listen 5432",
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[1]?.stdout, "in psql\n");
    },
  },
  "Talk HTTP to a server": {
    before: "sockpipe --listen :80 --message 'HTTP/1.0 200 OK'",
    check: (outcomes) => {
      allZero(outcomes);
      assertMatch(outcomes[0]?.stdout ?? "", /^GET \/ HTTP\/1.0\r\nHost: /);
      assertEquals(outcomes[1]?.stdout, "HTTP/1.0 200 OK");
    },
  },
  "Say one thing": {
    before: "sockpipe --listen 32000",
    check: ([peer]) => assertEquals(peer?.stdout, "backup finished"),
  },
  "Unix sockets": {
    check: (outcomes) => {
      allZero(outcomes);
      assertEquals(outcomes[0]?.stdout, "hello");
    },
  },
  "One way only": {
    check: async (outcomes) => {
      allZero(outcomes);
      await sameFile(`${outcomes[1]?.work}there.pdf`, REPORT);
    },
  },
  "See how far it is": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      assertMatch(outcomes[1]?.stderr ?? "", /100%\n$/);
    },
  },
  "Follow it from a script": {
    check: async (outcomes) => {
      await diskArrived(outcomes);
      const events = await Deno.readTextFile(`${outcomes[0]?.work}events`);
      assertMatch(events, /"event":"closed".*"exitCode":0.*\n$/);
    },
  },
  "Time limits": {
    after: "sockpipe --connect 32000 --message data",
    check: async (outcomes) => {
      allZero(outcomes);
      assertEquals(
        await Deno.readTextFile(`${outcomes[0]?.work}upload.bin`),
        "data",
      );
    },
  },
  "A port chosen by the system, in a script": {
    check: async ([only]) => {
      assertEquals(only?.code, 0);
      const received = await Deno.readTextFile(`${only?.work}received.txt`);
      assertMatch(received, /^to port \d+$/);
    },
  },
  "Several listeners share one port": {
    after: `for i in 1 2 3; do
      sockpipe --connect 32000 --retry-delay 100ms --message "$i" || exit
    done`,
    check: async (outcomes) => {
      allZero(outcomes);
      const all = await Promise.all(
        [1, 2, 3].map((i) => Deno.readTextFile(`${outcomes[0]?.work}${i}.out`)),
      );
      assertEquals(all.join("").length, 3);
    },
  },
};

for (
  const [name, recipes, trials] of [
    [
      "docs/recipes.md",
      recipesUnderHeadings(await readDocument("docs/recipes.md")),
      DOCS_TRIALS,
    ],
    [
      "README.md",
      recipesOfReadme(await readDocument("README.md")),
      README_TRIALS,
    ],
  ] as const
) {
  Deno.test(`every recipe of ${name} has a trial, and no other`, () => {
    assertEquals(
      recipes.map(({ title }) => title)
        .filter((title) => !TRIED_ELSEWHERE.includes(title)).toSorted(),
      Object.keys(trials).toSorted(),
    );
  });

  for (const { title, scripts } of recipes) {
    const trial = trials[title];
    if (trial === undefined) continue;
    const { before, after, check, needs = [], apart } = trial;
    testWith(["unshare", "ip", ...needs], `${name}: ${title}`, async () => {
      using folder = new Folder();
      const outcomes = await together(
        folder,
        [before, ...scripts, after].filter((script) => script !== undefined),
        apart === undefined ? {} : { apart },
      );
      await check(outcomes);
    });
  }
}
