#!/usr/bin/env node
// Starts sockpipe with the Deno that npm has installed beside it.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { isatty } = require("node:tty");
const path = require("node:path");

/** The signals that a terminal sends to all that run in it, so also to Deno. */
const FROM_TERMINAL = ["SIGINT", "SIGQUIT", "SIGHUP"];
const OTHERS = ["SIGTERM", "SIGUSR2"];

function main() {
  const words = require("../package.json").config.deno.split(" ");
  const main = path.join(__dirname, "..", words.pop());
  const args = [...words, main, ...process.argv.slice(2)];
  const program = require("deno/install_api.cjs").runInstall();
  // The best where it is there (Node 22.15): nobody is left in between.
  if (process.execve && process.platform !== "win32") {
    process.execve(program, [program, ...args], process.env);
  }
  const child = spawn(program, args, { stdio: "inherit" });
  child.on("error", fail);
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
  const all = [...FROM_TERMINAL, ...OTHERS];
  for (const signal of all) {
    const isTwice = hasTerminal && FROM_TERMINAL.includes(signal);
    process.on(signal, () => isTwice || child.kill(signal));
  }
  child.on("exit", (code, signal) => {
    if (signal === null) return process.exit(code);
    for (const signal of all) process.removeAllListeners(signal);
    // What a shell and a supervisor look at is the signal itself.
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
  });
}

function fail(error) {
  process.stderr.write(`sockpipe: cannot start Deno: ${error.message}\n`);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail(error);
}
