/** `--output` on a disk that is too small, and has room when it is tried again. */

import { assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { type Running, shell } from "../../helpers/process.ts";

/**
 * Runs a script in a folder with a disk of 8 MiB, `disk`, which `enlarge` makes
 * larger, and a file of 16 MiB that is to come there. `receive` and `send` are one
 * side each, always with the same words; they say their exit codes.
 */
function onSmallDisk(script: string): Running {
  return shell(
    `cd "$(mktemp -d)" && mkdir disk && mount -t tmpfs -o size=8m none disk || exit
    trap 'umount disk; rm -r "$PWD"' EXIT
    enlarge() { mount -o remount,size=64m disk; }
    head -c 16M /dev/urandom > file
    resume='--reliable --resume --resume-timeout 200ms'
    receive() {
      sockpipe --listen unix:here $resume --receive-only --output disk/got 2> receiver
      echo "receiver $?"
      cat receiver >&2
    }
    send() {
      sockpipe --connect unix:here --retry-delay 20ms --retry-timeout 5s $resume --send-only
      echo "sender $?"
    }
    ${script}`,
    [],
    { under: ["unshare", "-rm"] },
  );
}

const NEEDS = ["unshare", "mount"];

testWith(
  NEEDS,
  "a file that has no room is refused before it comes, and comes when there is",
  async () => {
    await using both = onSmallDisk(`
      send < file & receive; wait; ls disk
      enlarge
      send < file & receive; wait; ls disk
      cmp file disk/got && echo equal`);
    const { code, stdout, stderr } = await both.result();
    const lines = stdout.split("\n");
    assertEquals(lines.slice(0, 2).toSorted(), ["receiver 8", "sender 1"]);
    assertEquals(
      lines.slice(2).toSorted(),
      ["", "equal", "got", "receiver 0", "sender 0"],
      stderr,
    );
    assertEquals(code, 0);
    assertMatch(
      stderr,
      /cannot write "disk\/got\.part": no space left on device: 16777216 bytes/i,
    );
  },
);

testWith(
  NEEDS,
  "a disk that fills up keeps what it has, and the command that is said goes on",
  async () => {
    await using both = onSmallDisk(`
      cat file | send 2> talk & receive; wait; ls disk; cat talk >&2
      enlarge
      again() { sed -n 's/.*to go on.*: \\(sockpipe .*\\)/\\1/p' "$1"; }
      cat file | eval "$(again talk)" & eval "$(again receiver)"
      wait $!; echo "sender $?"; ls disk
      cmp file disk/got && echo equal`);
    const { code, stdout, stderr } = await both.result();
    const lines = stdout.split("\n");
    assertEquals(lines.slice(0, 2).toSorted(), ["receiver 8", "sender 1"]);
    assertEquals(
      lines.slice(2),
      ["got.part", "sender 0", "got", "equal", ""],
      stderr,
    );
    assertEquals(code, 0);
    assertMatch(stderr, /\d{7} bytes are kept in disk\/got\.part/);
    assertMatch(stderr, /going on after the \d{7} bytes/);
  },
);

testWith(
  NEEDS,
  "--output with --size: that there is no room is said before anybody is let in",
  async () => {
    await using both = onSmallDisk(
      `sockpipe --listen 0 --output disk/got --size 16M; echo $?; ls disk`,
    );
    const { stdout, stderr } = await both.result();
    assertEquals(stdout, "8\n", stderr);
    assertMatch(
      stderr,
      /^sockpipe: cannot write "disk\/got\.part": no space left/,
    );
  },
);
