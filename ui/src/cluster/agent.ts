// Where an agent is reached, and which of its pages shows which files.
// Asks it nothing.

/** An agent as /slaves lists it. */
export interface AgentOfState {
  id: string;
  hostname: string;
  /** Such as `slave(1)@10.0.0.1:5051`. */
  pid: string;
}

/** Its address for browsers; none when its pid is of another form. */
export function agentUrl(agent: AgentOfState): string | undefined {
  const found = /@(.+):(\d+)$/.exec(agent.pid);
  if (!found) return undefined;
  const host = found[1]?.includes(':') && !found[1].startsWith('[') ? `[${found[1]}]` : found[1];
  return `http://${host}:${found[2]}`;
}

/** What is looked for in a sandbox: a file that is shown as a log, or else a directory. */
export interface Sought {
  framework: string;
  executor: string;
  /** The id of a container, or `latest`. */
  run: string;
  directory: string[];
  file?: string;
}

/** The page of an agent that shows it. */
export function agentPage(url: string, { framework, executor, run, directory, file }: Sought): string {
  const parts = [framework, executor, run, ...directory, ...(file === undefined ? [] : [file])];
  return `${url}/ui/#/${file === undefined ? 'files' : 'log'}/${parts.map(encodeURIComponent).join('/')}`;
}

/** Where an agent gives a whole file. */
export function fileUrl(url: string, { framework, executor, run, directory, file }: Sought): string {
  const path = ['', 'frameworks', framework, 'executors', executor, 'runs', run, ...directory, file ?? ''].join('/');
  return `${url}/files/download?path=${encodeURIComponent(path)}`;
}
