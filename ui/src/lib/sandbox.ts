// Where the files of a task can be seen: on the page of the master that knows its agent.
// Reads no file.
import type { Info } from './types';

/** The master's address for browsers: as a flag says, else where the app manager finds it. */
export function masterUrl(info: Info | undefined): string | undefined {
  const told = info?.marathon_config.mesos_leader_ui_url;
  if (told && /^https?:\/\//.test(told)) return told.replace(/\/?$/, '/');
  const master = info?.marathon_config.master ?? '';
  if (/^https?:\/\//.test(master)) return master.replace(/\/?$/, '/');
  return /^[^/@\s]+:\d+$/.test(master) ? `http://${master}/` : undefined;
}

/** A link to the sandbox of a task, or at once to the log `file` in it; none while it is not known where. */
export function sandboxLink(info: Info | undefined, agent: string | undefined, task: string, file = ''): string | undefined {
  const master = masterUrl(info);
  if (master === undefined || !agent || !info?.frameworkId) return undefined;
  const parts = [agent, info.frameworkId, task].map(encodeURIComponent).join('/');
  return `${master}#/sandbox/${parts}${file === '' ? '' : `?open=${encodeURIComponent(file)}`}`;
}
