/** Completions for shells, out of the table of options. */

import { type Option, OPTIONS, type Shell } from "./option_table.ts";

/** Writes the script that a shell loads; whole lines. */
export function completions(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      return zsh();
    case "fish":
      return fish();
  }
}

/** Finds the kind of completion for an option's value. */
function completionKind(option: Option): "none" | "file" | "host" | "other" {
  if (option.kind === "flag") return "none";
  if (option.value === "FILE") return "file";
  return option.name === "connect" ? "host" : "other";
}

function namesOf(option: Option): string[] {
  const short = option.short === undefined ? [] : [`-${option.short}`];
  return [...short, `--${option.name}`];
}

function bash(): string {
  const cases = OPTIONS.filter(({ kind }) => kind !== "flag").map((option) =>
    `    ${namesOf(option).join("|")})\n      ${
      bashValue(option)
    }\n      return ;;\n`
  );
  return `# bash completion for sockpipe, made by: sockpipe --completions bash
_sockpipe() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  # bash makes three words of --name=value.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  COMPREPLY=()
  case $previous in
${cases.join("")}  esac
  COMPREPLY=( $(compgen -W "${
    OPTIONS.flatMap(namesOf).join(" ")
  }" -- "$current") )
}
complete -F _sockpipe sockpipe
`;
}

function bashValue(option: Option): string {
  if (option.choices !== undefined) {
    return `COMPREPLY=( $(compgen -W "${
      option.choices.join(" ")
    }" -- "$current") )`;
  }
  switch (completionKind(option)) {
    case "file":
      return `compopt -o filenames; COMPREPLY=( $(compgen -f -- "$current") )`;
    case "host":
      return `COMPREPLY=( $(compgen -A hostname -- "$current") )`;
    default:
      return ":";
  }
}

function zsh(): string {
  const specs = OPTIONS.map((option) => `    ${zshSpec(option)} \\\n`);
  return `#compdef sockpipe
# zsh completion for sockpipe, made by: sockpipe --completions zsh
_sockpipe() {
  _arguments -s \\
${specs.join("")}    && return 0
}
if [[ $funcstack[1] == _sockpipe ]]; then
  _sockpipe "$@"
else
  compdef _sockpipe sockpipe
fi
`;
}

function zshSpec(option: Option): string {
  const takes = option.kind !== "flag";
  const long = `--${option.name}${takes ? "=" : ""}`;
  const names = option.short === undefined
    ? long
    : `'(-${option.short} --${option.name})'{-${option.short}${
      takes ? "+" : ""
    },${long}}`;
  const text = `[${option.help.replaceAll(/[[\]\\:]/g, "\\$&")}]`;
  const value = takes ? `:${option.value ?? "value"}:${zshValue(option)}` : "";
  return `${names}'${quoted(text + value)}'`;
}

function zshValue(option: Option): string {
  if (option.choices !== undefined) return `(${option.choices.join(" ")})`;
  const action = { none: "", file: "_files", host: "_hosts", other: " " };
  return action[completionKind(option)];
}

function fish(): string {
  const lines = OPTIONS.map((option) =>
    [
      "complete -c sockpipe",
      ...option.short === undefined ? [] : [`-s ${option.short}`],
      `-l ${option.name}`,
      ...fishValue(option),
      `-d '${option.help.replaceAll(/['\\]/g, "\\$&")}'`,
    ].join(" ") + "\n"
  );
  return "# fish completion for sockpipe, made by: sockpipe --completions fish\n" +
    `complete -c sockpipe -f\n${lines.join("")}`;
}

function fishValue(option: Option): string[] {
  if (option.choices !== undefined) {
    return [`-x -a '${option.choices.join(" ")}'`];
  }
  switch (completionKind(option)) {
    case "none":
      return [];
    case "file":
      return ["-r -F"];
    case "host":
      return ["-x -a '(__fish_print_hostnames)'"];
    case "other":
      return ["-x"];
  }
}

/**
 * Escapes a text for single quotes, as bash and zsh read them; fish reads a
 * backslash.
 */
function quoted(text: string): string {
  return text.replaceAll("'", `'\\''`);
}
