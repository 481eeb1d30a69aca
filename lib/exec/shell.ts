/**
 * Commands and the system's shell: the call that runs one, and the commands that
 * need no shell. Those are started directly, as `make` does it, which saves the
 * start of a shell for each.
 */

/** Characters that mean nothing to any shell, but for `=` in the first word. */
const PLAIN_WORD = /^[\w@%+:,./=-]+$/;

/** A first word that is no assignment. */
const PROGRAM = /^[^=]+$/;

/**
 * Builtins and reserved words of shells: those of POSIX (XCU 2.4, 2.9.1, 2.14), and
 * what dash, bash, ksh or BusyBox's ash have beside.
 */
const SHELL_WORDS: ReadonlySet<string> = new Set(
  `alias bg bind break builtin caller case cd chdir command compgen complete
   compopt continue coproc declare dirs disown do done echo elif else enable esac
   eval exec exit export false fc fg fi for function getopts hash help history if
   in jobs kill let local logout mapfile newgrp popd print printf pushd pwd read
   readarray readonly return select set shift shopt source suspend test then time
   times trap true type typeset ulimit umask unalias unset until wait whence while
   . :`.split(/\s+/),
);

/**
 * Splits a command for which the shell would only find and start a program: it has
 * no quoting, expansion, redirection or assignment, and does not begin with a word
 * of the shell itself, unless `exec` says that a program is meant.
 *
 * @returns At least one word, without `exec`; `undefined` when the shell is needed.
 */
export function plainWords(
  command: string,
): readonly [string, ...string[]] | undefined {
  const all = command.split(/[ \t]+/).filter((word) => word !== "");
  const hasExec = all[0] === "exec";
  const [first, ...rest] = hasExec ? all.slice(1) : all;
  if (first === undefined || !all.every((word) => PLAIN_WORD.test(word))) {
    return undefined;
  }
  // After exec, some shells take options of their own.
  if (!PROGRAM.test(first) || first.startsWith("-")) return undefined;
  if (!hasExec && SHELL_WORDS.has(first)) return undefined;
  return [first, ...rest];
}

/** A program's file and its words, its name the first. */
export interface Program {
  readonly path: string;
  readonly words: readonly [string, ...string[]];
}

/**
 * Finds the program of a command that needs no shell.
 *
 * @returns `undefined` when the shell is needed, if only to say what is missing.
 */
export function findDirectProgram(command: string): Program | undefined {
  const words = plainWords(command);
  const path = words && findProgram(words[0]);
  return words === undefined || path === undefined || hasFunctions()
    ? undefined
    : { path, words };
}

/**
 * Makes the call of the system's shell for a command.
 *
 * On Windows the words are what the command line has to be, and not to be quoted
 * once more: with /s, cmd takes off the outer quotes and leaves the rest alone.
 */
export function shellProgram(command: string, os = Deno.build.os): Program {
  return os === "windows"
    ? { path: "cmd", words: ["cmd", "/d", "/s", "/c", `"${command}"`] }
    : { path: "/bin/sh", words: ["/bin/sh", "-c", command] };
}

/** Finds a program as the shell does: in PATH, unless its name has a slash. */
function findProgram(name: string): string | undefined {
  if (name.includes("/")) return mayBeExecuted(name) ? name : undefined;
  return searchPath()
    .map((folder) => `${folder || "."}/${name}`)
    .find(mayBeExecuted);
}

/**
 * Lists the folders of PATH; none when it is not UTF-8, which the runtime cannot
 * read.
 */
function searchPath(): string[] {
  try {
    return Deno.env.get("PATH")?.split(":") ?? [];
  } catch {
    return [];
  }
}

/** Whether there is a file with an execute bit. */
export function mayBeExecuted(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** Whether the environment has functions of bash, which any word may name. */
function hasFunctions(): boolean {
  return Object.keys(Deno.env.toObject())
    .some((name) => name.startsWith("BASH_FUNC_"));
}
