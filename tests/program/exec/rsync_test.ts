/** rsync's server under sockpipe, as docs/recipes.md has it. */

import { assertEquals } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { canGiveSocket } from "../../helpers/exec.ts";
import { Folder } from "../../helpers/folder.ts";
import { shell } from "../../helpers/process.ts";
import { recipe } from "../../helpers/recipe.ts";

testWith(
  ["rsync"],
  "rsync fetches a folder from its daemon under sockpipe, as the recipe says",
  async () => {
    if (!await canGiveSocket()) return;
    using folder = new Folder();
    const data = randomBytes(3_000_000, 61);
    await Deno.mkdir(`${folder.path}/photos`);
    await Deno.writeFile(`${folder.path}/photos/one.jpg`, data);
    const [serve = "", fetch = ""] = await recipe("Serve a folder to rsync");
    await using server = shell(
      `cd "$1"; ${serve.replace(":32000", "0")}`,
      [folder.path],
    );
    const { port } = await server.listening();
    const there = fetch.replace("there:32000", `127.0.0.1:${port}`);
    await using client = shell(
      `cd "$1" && mkdir here && cd here && ${there}`,
      [folder.path],
    );
    const { code, stderr } = await client.result();
    assertEquals(code, 0, stderr);
    assertEquals(await server.code(), 0);
    const arrived = await Deno.readFile(`${folder.path}/here/photos/one.jpg`);
    assertEquals(arrived, data);
  },
);
