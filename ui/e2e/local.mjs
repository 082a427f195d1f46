// Starts a cluster with `tepui local` on free ports, and ends it.
// Drives no browser.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The program that is tested. */
export const PROGRAM = process.env.TEPUI_PROGRAM ?? fileURLToPath(new URL('../../target/debug/tepui', import.meta.url));

/** Time the cluster may take to start or to end, in milliseconds. */
const PATIENCE_MS = 90_000;

/** Starts a cluster; gives the addresses of its master, agents and app manager, and how to end it. */
export async function startCluster() {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing; build it with 'cargo build -p tepui --bins'`);
  const ports = ['--port=0', '--agent-port=0', '--marathon-port=0'];
  const child = spawn(PROGRAM, ['local', ...ports, '--resources=cpus:4;mem:2048;disk:4096;ports:[31000-31999]'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const addresses = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the cluster did not start:\n${said}`)), PATIENCE_MS);
    const listen = (text) => {
      said += text;
      const master = /^master +(http:\S+)$/m.exec(said)?.[1];
      const apps = /^apps +(http:\S+)$/m.exec(said)?.[1];
      if (!master || !apps) return;
      const agents = [...said.matchAll(/^agent \d+ +(http:\S+)$/gm)].map((line) => line[1]);
      clearTimeout(timer);
      resolve({ master, apps, agents });
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('exit', (code) => reject(new Error(`the cluster ended with ${code}:\n${said}`)));
  });
  return {
    ...addresses,
    async stop() {
      child.kill('SIGINT');
      const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}
