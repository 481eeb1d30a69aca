/**
 * How the system's shell is asked to run a command, and which commands it would
 * only pass on: those are started directly, as `make` does it, which saves the
 * start of a shell for each.
 */

/** The shell of the system, and how it is told a command. */
const SHELL: readonly [string, ...string[]] = Deno.build.os === "windows"
  ? ["cmd", "/d", "/s", "/c"]
  : ["/bin/sh", "-c"];

/** Characters that mean nothing to any shell, but for `=` in the first word. */
const PLAIN_WORD = /^[\w@%+:,./=-]+$/;

/** The name of a program, which is no assignment. */
const PROGRAM = /^[^=]+$/;

/**
 * What a shell does itself, or reads as the beginning of something: of POSIX
 * (XCU 2.4, 2.9.1, 2.14), and more that dash, bash, ksh or BusyBox's ash have.
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
 * The words of a command that the shell would do nothing to but find and start its
 * program: no quoting, expansion, redirection or assignment, and no word of the
 * shell itself, unless `exec` says that a program is meant.
 *
 * @returns At least one word, without `exec`; `undefined` when it is the shell's.
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
 * The program that the shell would start for a command, and do nothing else.
 *
 * @returns `undefined` when the shell is needed, if only to say what is missing.
 */
export function programOf(command: string): Program | undefined {
  const words = plainWords(command);
  const path = words && findProgram(words[0]);
  return words === undefined || path === undefined || hasFunctions()
    ? undefined
    : { path, words };
}

/** The shell with a command to run. */
export function shellProgram(command: string): Program {
  const [path] = SHELL;
  return { path, words: [...SHELL, command] };
}

/** Itself when it has a slash, else as found in PATH. */
function findProgram(name: string): string | undefined {
  if (name.includes("/")) return mayBeExecuted(name) ? name : undefined;
  return searchPath()
    .map((folder) => `${folder || "."}/${name}`)
    .find(mayBeExecuted);
}

/** Nothing when it is not UTF-8, which the runtime cannot read. */
function searchPath(): string[] {
  try {
    return Deno.env.get("PATH")?.split(":") ?? [];
  } catch {
    return [];
  }
}

/** Whether there is a file that may be executed. */
export function mayBeExecuted(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** Whether any word may be a function, which bash exports in the environment. */
function hasFunctions(): boolean {
  return Object.keys(Deno.env.toObject())
    .some((name) => name.startsWith("BASH_FUNC_"));
}
